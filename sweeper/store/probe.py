"""Whether a store can be used, without changing anything in it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from sqlalchemy import text

from sweeper.store.engine import StoreError, open_for_reading, sqlite_file, transaction
from sweeper.store.queries import Reader
from sweeper.store.schema import SCHEMA_VERSION, metrics
from sweeper.store.sqlite_files import connect_read_only

PATIENCE = 2.0  # seconds for another one's transaction to end


class Probe(NamedTuple):
    sweeps: int
    schema: int
    how: str  # it writes: "journal mode wal", "PostgreSQL 16.4"


def probe(url: str) -> Probe:
    """Of a store that can be read and written. Raises NoStore, or StoreError in a sentence."""
    with closing(Reader(url)) as reader:
        sweeps = len(reader.sweeps())
    file = sqlite_file(url)
    return Probe(sweeps, SCHEMA_VERSION, _server(url) if file is None else _sqlite(file))


def damage(url: str) -> str:
    """What SQLite itself finds wrong with its file, or which specification in it is none; '' where it is
    whole, or there is no such file."""
    if (file := sqlite_file(url)) is None or not file.is_file():
        return ""
    try:
        with closing(connect_read_only(file)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if found == "ok":
                specs = connection.execute("SELECT name, spec FROM sweeps").fetchall()
                found = next((name for name, spec in specs if not _is_specification(spec)), "")
                found = found and f"what it has as the specification of sweep {found} is none"
    except sqlite3.Error as error:
        found = str(error)
    return found and f"the database {file} is damaged: {' '.join(found.split())}"


def _is_specification(text: str) -> bool:
    from sweeper.spec.spec import SweepSpec  # a second, which `status` need not wait for

    try:
        SweepSpec.from_resolved(json.loads(text))
    except (AttributeError, LookupError, TypeError, ValueError):
        return False
    return True


def size(url: str) -> int:
    """Bytes: of the SQLite file and what is beside it; of a server's database, as far as it says. Or 0."""
    file = sqlite_file(url)
    if file is not None:
        beside = (file.with_name(file.name + end) for end in ("", "-wal", "-shm"))
        return sum(each.stat().st_size for each in beside if each.is_file())
    engine = open_for_reading(url)
    try:
        with transaction(engine) as connection:
            return int(connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
    finally:
        engine.dispose()


def _sqlite(file: Path) -> str:
    name = f"file:{quote(str(file.absolute()))}?mode=rw"
    try:
        with closing(sqlite3.connect(name, uri=True, timeout=PATIENCE, isolation_level=None)) as connection:
            journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise StoreError(f"{file} can be read, but not written: {error}") from None
    return f"journal mode {journal}"


def _server(url: str) -> str:
    engine = open_for_reading(url)
    try:
        with transaction(engine) as connection:
            allowed = f"SELECT has_table_privilege('{metrics.name}', 'INSERT')"
            if not connection.execute(text(allowed)).scalar_one():
                raise StoreError("this user of the database may read the store, but not write it")
            return f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}"
    finally:
        engine.dispose()
