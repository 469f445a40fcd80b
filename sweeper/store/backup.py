"""A copy of the store in one file, also while a driver is at work in it."""

import sqlite3
from contextlib import suppress
from pathlib import Path

from sweeper.store.engine import OldStore, StoreError, open_for_reading, sqlite_file
from sweeper.store.sqlite_files import copy


def backup(url: str, to: Path) -> int:
    """Returns its bytes. Raises StoreError in a sentence; nothing that is there is written over."""
    file = sqlite_file(url)
    if file is None:
        raise StoreError("only an SQLite file is copied like that; of PostgreSQL, pg_dump makes a copy")
    with suppress(OldStore):  # it is copied as it is
        open_for_reading(url).dispose()  # says so where it is no store
    if to.exists() or to.is_symlink():
        raise StoreError(f"{to} is there already, and is not written over: give another name")
    try:
        copy(file, to)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{file} cannot be copied to {to}: {getattr(error, 'strerror', None) or error}"
        ) from None
    return to.stat().st_size
