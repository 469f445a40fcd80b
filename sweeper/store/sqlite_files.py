"""An SQLite file: how is it opened to be read or to be written, waited for, and copied?"""

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from trainer.disk import replace_durably

BUSY_TIMEOUT = 30.0  # seconds that one waits for another one's transaction
AT_ONCE = 10.0  # seconds that a driver waits before it says so, and waits on
PATIENCE = 600.0  # seconds that it does: a copy, a check or a halted program may hold the lock for minutes
READERS = 2.0  # seconds that a checkpoint waits for those who read

Waiting = Callable[[float], None]  # told how many seconds a driver has waited for its turn


def connect_read_only(
    file: Path, factory: type[sqlite3.Connection] = sqlite3.Connection
) -> sqlite3.Connection:
    """Creates and changes nothing. Raises sqlite3.Error.

    A store that was closed can be read where nothing can be written: without the files that SQLite keeps
    beside an open one, as something that nobody changes meanwhile.
    """
    connection = _read_only(file, "mode=ro", factory)
    try:
        connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1")
    except sqlite3.OperationalError as error:
        cannot_open = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)
        connection.close()
        if not cannot_open:
            raise
        if has_log(file):
            log = f"what was last written stands in {log_of(file)}, which cannot be read where nothing can be"
            raise sqlite3.OperationalError(f"{log} written: copy both files to another folder") from None
        connection = _read_only(file, "mode=ro&immutable=1", factory)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _read_only(file: Path, how: str, factory: type[sqlite3.Connection]) -> sqlite3.Connection:
    return sqlite3.connect(
        f"file:{quote(str(file.absolute()))}?{how}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
        factory=factory,
    )


def log_of(file: Path) -> Path:
    """What is committed stands here first."""
    return file.with_name(f"{file.name}-wal")


def has_log(file: Path) -> bool:
    """Whether something may stand in the log alone."""
    with suppress(OSError):
        return log_of(file).stat().st_size > 0
    return False


def prepare_writer(connection: sqlite3.Connection, seconds: float = BUSY_TIMEOUT) -> None:
    """seconds: to wait for others' transactions."""
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so, not where Python guesses
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
    _keep_a_log(connection, seconds)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _keep_a_log(connection: sqlite3.Connection, seconds: float) -> None:
    """Where several open a new file at once SQLite refuses all but one of them, without its own waiting."""
    until = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not _is_locked(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def begin_immediate(connection: Connection, waiting: Waiting | None = None) -> None:
    """waiting: a transaction is waited for as long as PATIENCE, and it is told so now and then."""
    began = time.monotonic()
    while True:
        try:
            # A transaction that starts with a read and then writes fails at once where another one wrote in
            # between; one that takes the write lock first waits for its turn.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        except OperationalError as error:
            waited = time.monotonic() - began
            if waiting is None or not _is_locked(error.orig) or waited > PATIENCE:
                raise
            waiting(waited)


def _is_locked(error: Any) -> bool:
    return isinstance(error, sqlite3.Error) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def checkpoint(file: Path) -> None:
    """What stands in the log is put into the file itself, as far as those who read it allow."""
    name = f"file:{quote(str(file.absolute()))}?mode=rw"
    with suppress(sqlite3.Error), closing(sqlite3.connect(name, uri=True, timeout=READERS)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def copy(file: Path, to: Path) -> None:
    """The database as it is at one moment, whoever is at work in it: whole and on disk, or not there at all.

    Raises OSError or sqlite3.Error.
    """
    new = to.with_name(f"{to.name}.tmp")
    needed, free = file.stat().st_size, shutil.disk_usage(to.parent).free
    if needed > free:
        raise OSError(f"no room for a copy of {file}: {needed:,} bytes are needed, {free:,} are free")
    new.unlink(missing_ok=True)
    try:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL, 0o600))
        with closing(connect_read_only(file)) as old, closing(sqlite3.connect(new)) as into:
            into.execute("PRAGMA journal_mode = OFF")
            old.backup(into)
        shutil.copymode(file, new)
        replace_durably(new, to)
    finally:
        new.unlink(missing_ok=True)
