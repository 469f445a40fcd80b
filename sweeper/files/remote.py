"""Where a sweep's files are: a path, or the URI of an object store. Light: snapshots.py moves the bytes."""

import hashlib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from trainer.disk import cache_root

SCHEMES = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "file")


class InvalidPlace(ValueError):
    """A URI that checkpoints cannot go to, as a sentence."""


class Unsaid(NamedTuple):
    """Where the files of a new sweep go when nobody says; a sweep that is there keeps its own place."""

    folder: str


def is_remote(files: str | Path) -> bool:
    return "://" in str(files)


def check(files: str) -> None:
    """Raises InvalidPlace, and never repeats what may be a key."""
    if not is_remote(files):
        return
    parts = urlsplit(files)
    if parts.scheme not in SCHEMES:
        raise InvalidPlace(f"{parts.scheme}:// is no object store that is known: {', '.join(SCHEMES)}")
    if parts.username or parts.password or any("key" in name.lower() for name, _ in parse_qsl(parts.query)):
        raise InvalidPlace(
            "keys in a URI would be stored and shown; give them by the environment of every node "
            "(AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), or by the role of the machine"
        )


def within(files: str, *parts: str) -> str:
    """What lies below a path or a URI."""
    if not is_remote(files):
        return str(Path(files, *parts))
    place, question, query = files.partition("?")
    return "/".join([place.rstrip("/"), *parts]) + question + query


def logs_of(files: str) -> Path:
    """This machine's folder for what no other one wants: logs."""
    return cache_root() / "logs" / name_of(files) if is_remote(files) else Path(files)


def name_of(uri: str) -> str:
    """Of a folder here that stands for it."""
    return hashlib.sha256(uri.encode()).hexdigest()[:16]
