"""Where do a sweep's files lie? A place below the folder of an SQLite store is stored relative to it, so that
both can be moved together. A place elsewhere, or in an object store, is stored as it is.
"""

import os
from pathlib import Path

from sqlalchemy import URL


def as_stored(place: str, url: URL) -> str:
    """place: a path or a URI. url: of the store."""
    home = _home(url)
    if home is None or _is_uri(place):
        return place
    path = Path(os.path.abspath(place))
    return str(path.relative_to(home)) if path.is_relative_to(home) else str(path)


def as_found(stored: str, url: URL) -> str:
    """The path or the URI. An absolute path that is no more, as earlier versions stored it, is looked for
    beside the store: by as much of its end as is there."""
    home = _home(url)
    if home is None or _is_uri(stored):
        return stored
    path = Path(stored)
    if not path.is_absolute():
        return str(home / path)
    if not path.exists():
        for first in range(1, len(path.parts)):
            beside = home.joinpath(*path.parts[first:])
            if beside.exists():
                return str(beside)
    return stored


def _home(url: URL) -> Path | None:
    """The folder of the store's file; None of a server."""
    return Path(os.path.abspath(str(url.database))).parent if url.get_backend_name() == "sqlite" else None


def _is_uri(place: str) -> bool:
    return "://" in place
