"""An older store is brought to this version's tables: a copy of it first, then all in one transaction. And a
backup: such a copy when somebody asks for it.

A step is a file in sweeper/store/migrations, in alembic's words; it stays as it is for ever, so it imports
nothing of ours. Which steps a store has had is its `schema_version` in `meta`, and nothing else.
"""

import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, column, event, select, table

from sweeper.store.engine import (
    OldStore,
    StoreError,
    connect,
    open_for_reading,
    parse,
    schema_of,
    shown,
    sqlite_file,
    take_turns,
    transaction,
)
from sweeper.store.records import host_and_pid
from sweeper.store.schema import SCHEMA_VERSION, meta
from sweeper.store.sqlite_files import begin_immediate, copy, prepare_writer

STEPS = Path(__file__).parent / "migrations"


class Migration(NamedTuple):
    place: str  # the database, as users call it
    before: int  # schemas
    after: int
    copy: Path | None  # of the file as it was; a server makes none

    def words(self) -> str:
        kept = f"; as it was, it is kept as {self.copy}" if self.copy else ""
        return f"{self.place} was brought from schema {self.before} to {self.after}{kept}"


def migrate(url: str) -> Migration | None:
    """None: there is no store yet, or it is up to date.

    Raises StoreError in a sentence: newer than this program, another's, or a driver is at work in it.
    """
    file = sqlite_file(url)
    if file is not None and not file.is_file():
        return None
    engine = _engine(url)
    try:
        with transaction(engine) as connection:
            take_turns(connection)
            before = schema_of(connection)
            if before is None or before == SCHEMA_VERSION:
                return None
            _refuse_while_driven(connection)
            kept = _copy(file, before) if file else None
            _upgrade(connection, before)
            return Migration(shown(engine.url), before, SCHEMA_VERSION, kept)
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    """As for writing; but SQLite may take a table apart and put it together again (foreign keys are off)."""
    engine = connect(parse(url))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare)
        event.listen(engine, "begin", lambda connection: begin_immediate(connection))
    return engine


def _prepare(connection: sqlite3.Connection, _: Any) -> None:
    prepare_writer(connection)
    connection.execute("PRAGMA foreign_keys = OFF")


def _refuse_while_driven(connection: Connection) -> None:
    sweeps = table("sweeps", column("name"), column("lease_holder"), column("lease_until"))
    now = time.time()
    driven = connection.execute(select(sweeps).where(sweeps.c.lease_until > now)).first()
    if driven is not None:
        raise StoreError(
            f"{shown(connection.engine.url)} has an older schema, and {host_and_pid(driven.lease_holder)} is "
            f"running sweep {driven.name} in it: stop that, or wait {driven.lease_until - now:.0f} s if it "
            "is dead"
        )


def _copy(file: Path, schema: int) -> Path:
    """The database as it is, under another name."""
    name = file.with_name(f"{file.stem}.schema-{schema}{file.suffix}")
    try:
        copy(file, name)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{file} cannot be copied, so it stays as it is: {error}") from None
    return name


def copy_brought_up_to_date(file: Path, folder: Path) -> str:
    """The URL of a copy of an older store, to be read, in a folder that is the caller's."""
    to = folder / "copy.db"
    try:
        copy(file, to)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"{file} is of an older version, and cannot be copied to be read: {error}") from None
    engine = _engine(url := f"sqlite:///{to}")
    try:
        with transaction(engine) as connection:
            _upgrade(connection, schema_of(connection) or 0)
    finally:
        engine.dispose()
    return url


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


def _upgrade(connection: Connection, before: int) -> None:
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    steps = ScriptDirectory(str(STEPS), version_locations=[str(STEPS)]).walk_revisions()
    with Operations.context(MigrationContext.configure(connection)):
        for step in sorted(steps, key=lambda step: int(step.revision)):
            if int(step.revision) > before:
                step.module.upgrade()
    if connection.dialect.name == "sqlite" and (
        lost := connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    ):
        raise RuntimeError(f"a migration has left a row of {lost[0]} without its {lost[2]}")
    version = meta.update().where(meta.c.key == "schema_version")
    connection.execute(version.values(value=str(SCHEMA_VERSION)))
