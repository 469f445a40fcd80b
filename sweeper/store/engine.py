"""Opening a database: what is different about SQLite and PostgreSQL stands here and nowhere else."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, Table, create_engine, event, inspect, make_url, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from sweeper.store.schema import SCHEMA_VERSION, meta, metadata

BUSY_TIMEOUT = 30.0  # seconds that a writer waits for another one's transaction
_EXAMPLES = "sqlite:///sweeps.db or postgresql+psycopg://user@host/database"
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_CREATE_LOCK = 7_215_001  # of PostgreSQL's advisory locks: ours for creating the tables


class StoreError(ValueError):
    """What a user can do something about, as one sentence (never with a password in it)."""


class NoStore(StoreError):
    """There is nothing to read yet: no sweep was ever run with this database."""


class LeaseLost(StoreError):
    """Another driver holds the sweep now; nothing was written."""


def sqlite_file(url: str) -> Path | None:
    """The file behind an SQLite URL; None where the database is on a server."""
    parsed = parse(url)
    return Path(str(parsed.database)) if parsed.get_backend_name() == "sqlite" else None


def parse(url: str) -> URL:
    """Raises StoreError where the URL is none, or of a database that the store does not speak."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # The text is not repeated where it may hold a password.
        shown = f"{url!r} is" if "@" not in url and "password" not in url else "this is"
        meant = f"; did you mean sqlite:///{url}?" if _is_path(url) else f"; one looks like {_EXAMPLES}"
        raise StoreError(f"{shown} not a database URL{meant}") from None
    backend = parsed.get_backend_name()
    if backend != "sqlite" and url.count("@") > 1:  # what follows the first would be taken for the host
        raise StoreError("an @ in the user's name or the password is written %40 in a database URL")
    if any("password" in key for key in parsed.query):
        raise StoreError(
            "a password in the query of a database URL would be shown; write user:password@host, "
            "or use PGPASSWORD or a PGPASSFILE"
        )
    if backend not in _INSERT:
        raise StoreError(f"{backend} databases are not supported; a URL looks like {_EXAMPLES}")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError(
            "an SQLite database in memory would forget the sweep; name a file: sqlite:///sweeps.db"
        )
    return parsed


def _is_path(url: str) -> bool:
    return url.endswith((".db", ".sqlite", ".sqlite3")) and ":" not in url and "@" not in url


def open_for_writing(url: str) -> Engine:
    """Creates the tables where there are none. Raises StoreError in a sentence."""
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(str(parsed.database))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder {file.parent}: {error.strerror}") from None
        engine = _engine(parsed, connect_args={"timeout": BUSY_TIMEOUT})
        event.listen(engine, "connect", _prepare_writer)
        event.listen(engine, "begin", _begin_immediate)
    else:
        engine = _engine(parsed, pool_pre_ping=True)
    with transaction(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})"))
        if not inspect(connection).has_table(meta.name):
            metadata.create_all(connection)
            connection.execute(meta.insert().values(key="schema_version", value=str(SCHEMA_VERSION)))
        _check_version(connection)
        metadata.create_all(connection)  # a table that this version added; what there is stays as it is
    return engine


def open_for_reading(url: str) -> Engine:
    """Creates and changes nothing. Raises StoreError where there is no store to read."""
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        engine = _engine(parsed, creator=partial(_connect_read_only, Path(str(parsed.database))))
    else:
        engine = _engine(parsed, pool_pre_ping=True, execution_options={"postgresql_readonly": True})
    with transaction(engine) as connection:
        if not inspect(connection).has_table(meta.name):
            raise NoStore(
                f"there are no sweeps in {_shown(engine.url)}: no sweep was ever run with this database"
            )
        _check_version(connection)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Commits at its end, rolls back on an exception. The database's own trouble becomes a StoreError."""
    try:
        with engine.begin() as connection:
            yield connection
    except (OperationalError, InterfaceError) as error:
        raise StoreError(_in_words(error, engine.url)) from None
    except DBAPIError as error:
        if "not a database" in str(error.orig):
            raise StoreError(f"{_shown(engine.url)} is not an SQLite database") from None
        raise


def insert_or_ignore(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row whose key is there already is left as it is."""
    if rows:
        connection.execute(_INSERT[connection.dialect.name](table).on_conflict_do_nothing(), rows)


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row whose primary key is there already takes the new values."""
    if rows:
        statement = _INSERT[connection.dialect.name](table)
        new = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
        keys = list(table.primary_key.columns)
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=new), rows)


def _engine(url: URL, **options: Any) -> Engine:
    try:
        # Python writes NaN as a word that JSON does not have, and PostgreSQL refuses.
        return create_engine(url, json_serializer=partial(json.dumps, allow_nan=False), **options)
    except NoSuchModuleError:
        raise StoreError(
            f"{url.drivername} is not a known database driver; a URL looks like {_EXAMPLES}"
        ) from None
    except ImportError as error:
        raise StoreError(
            f"{url.drivername} needs the Python package {error.name}, which is not installed"
        ) from None


def _prepare_writer(connection: sqlite3.Connection, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where SQLAlchemy says so, not where Python guesses
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT * 1000)}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_immediate(connection: Connection) -> None:
    # A transaction that starts with a read and then writes fails at once where another one wrote in
    # between; one that takes the write lock first waits for its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _connect_read_only(file: Path) -> sqlite3.Connection:
    if not file.is_file():
        raise NoStore(f"there is no database {file}: no sweep was ever run with it")
    connection = sqlite3.connect(
        f"file:{quote(str(file.absolute()))}?mode=ro",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def _check_version(connection: Connection) -> None:
    ours = {"key", "value"} <= {column["name"] for column in inspect(connection).get_columns(meta.name)}
    query = select(meta.c.value).where(meta.c.key == "schema_version")
    stored = connection.execute(query).scalar_one_or_none() if ours else None
    if stored == str(SCHEMA_VERSION):
        return
    place = _shown(connection.engine.url)
    if stored is None or not stored.isdigit():
        raise StoreError(f"{place} has a table named meta that is not this program's; use another database")
    if int(stored) > SCHEMA_VERSION:
        raise StoreError(
            f"{place} was written by a newer version of this program (its schema is {stored}, "
            f"this one reads {SCHEMA_VERSION}); update this program, or use another database"
        )
    raise StoreError(
        f"{place} was written by an older version of this program (its schema is {stored}, "
        f"this one reads {SCHEMA_VERSION}); use another database"
    )


def _shown(url: URL) -> str:
    """The file, or the server's URL with the password starred out."""
    return (
        str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    )


def _in_words(error: DBAPIError, url: URL) -> str:
    cause = "; ".join(line.strip() for line in str(error.orig).splitlines() if line.strip())
    if url.password:
        cause = cause.replace(str(url.password), "***")
    return f"the database {_shown(url)} cannot be used: {cause}"
