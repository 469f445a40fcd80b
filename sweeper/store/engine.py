"""Opening a database: what is different about SQLite and PostgreSQL stands here, and in sqlite_files.py."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Executable,
    Table,
    create_engine,
    event,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, NoSuchModuleError, OperationalError

from sweeper.store.clock import Clock
from sweeper.store.schema import SCHEMA_VERSION, meta, metadata
from sweeper.store.sqlite_files import (
    AT_ONCE,
    BUSY_TIMEOUT,
    Waiting,
    begin_immediate,
    connect_read_only,
    prepare_writer,
)

_EXAMPLES = "sqlite:///sweeps.db or postgresql+psycopg://user@host/database"
BACKENDS = ("sqlite", "postgresql")
# A server that has gone silent is given up, in less time than the driver's watchdog waits.
_NETWORK = {"connect_timeout": 10, "keepalives_idle": 10, "tcp_user_timeout": 20_000}  # s, s, ms
_CREATE_LOCK = 7_215_001  # of PostgreSQL's advisory locks: ours for creating the tables


class StoreError(ValueError):
    """What a user can do something about, as one sentence (never with a password in it)."""


class NoStore(StoreError):
    """There is nothing to read yet: no sweep was ever run with this database."""


class OldStore(StoreError):
    """An earlier version of this program has written it; sweeper/store/migrate.py brings it up to date."""


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
    if backend not in BACKENDS:
        raise StoreError(f"{backend} databases are not supported; a URL looks like {_EXAMPLES}")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise StoreError(
            "an SQLite database in memory would forget the sweep; name a file: sqlite:///sweeps.db"
        )
    return parsed


def _is_path(url: str) -> bool:
    return url.endswith((".db", ".sqlite", ".sqlite3")) and ":" not in url and "@" not in url


def open_for_writing(
    url: str,
    waiting: Waiting | None = None,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> Engine:
    """Creates the tables where there are none. waiting: a driver's, which waits long for its turn.
    factory: of SQLite's connections.

    Raises StoreError in a sentence, OldStore for an older one.
    """
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        file = Path(str(parsed.database))
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder {file.parent}: {error.strerror}") from None
        patience = BUSY_TIMEOUT if waiting is None else AT_ONCE
        engine = connect(parsed, connect_args={"timeout": patience, "factory": factory})
        event.listen(engine, "connect", lambda connection, _: prepare_writer(connection, patience))
        event.listen(engine, "begin", lambda connection: begin_immediate(connection, waiting))
    else:
        engine = _connect_to_server(parsed, waiting)
    with transaction(engine) as connection:
        take_turns(connection)
        stored = schema_of(connection)
        if stored is None:
            metadata.create_all(connection)
            connection.execute(meta.insert().values(key="schema_version", value=str(SCHEMA_VERSION)))
        else:
            _refuse_older(connection, stored)
    return engine


def open_for_reading(url: str, factory: type[sqlite3.Connection] = sqlite3.Connection) -> Engine:
    """Creates and changes nothing. Raises StoreError where there is no store to read."""
    parsed = parse(url)
    if parsed.get_backend_name() == "sqlite":
        engine = connect(parsed, creator=partial(_connect_read_only, Path(str(parsed.database)), factory))
    else:
        engine = _connect_to_server(parsed, execution_options={"postgresql_readonly": True})
    with transaction(engine) as connection:
        stored = schema_of(connection)
        if stored is None:
            raise NoStore(
                f"there are no sweeps in {shown(engine.url)}: no sweep was ever run with this database"
            )
        _refuse_older(connection, stored)
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Commits at its end, rolls back on an exception. The database's own trouble becomes a StoreError."""
    with in_sentences(engine.url), engine.begin() as connection:
        yield connection


@contextmanager
def in_sentences(url: URL) -> Iterator[None]:
    """Within, the database's own trouble becomes a StoreError."""
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise StoreError(_in_words(error, url)) from None
    except DBAPIError as error:
        if "not a database" in str(error.orig):
            raise StoreError(f"{shown(url)} is not an SQLite database") from None
        # The file is damaged; or the server has gone, as of a driver that was halted in a transaction.
        if type(error.orig) is sqlite3.DatabaseError or error.connection_invalidated:
            raise StoreError(_in_words(error, url)) from None
        raise
    except (sqlite3.Error, json.JSONDecodeError, UnicodeDecodeError) as error:  # of rows that are fetched
        raise StoreError(f"the database {shown(url)} cannot be read, and may be damaged: {error}") from None
    except UnicodeEncodeError as error:  # a word of the command line that is not UTF-8
        raise StoreError(f"{error.object[:60]!r} is no text: no database can hold it") from None


def now(connection: Connection, clock: Clock) -> float:
    """Seconds since 1970: the server's where there is one, since drivers of several machines compare them."""
    if connection.dialect.name == "sqlite":
        return clock.wall()
    seconds: float = connection.execute(
        text("SELECT extract(epoch FROM clock_timestamp())::float8")
    ).scalar_one()
    return seconds


def insert_or_ignore(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row whose key is there already is left as it is."""
    if rows:
        connection.execute(_ignored(connection.dialect.name, table), rows)


def _insert(dialect: str, table: Table) -> Any:
    if dialect == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # a tenth of a second

    return postgresql.insert(table)


@cache
def _ignored(dialect: str, table: Table) -> Executable:
    statement: Executable = _insert(dialect, table).on_conflict_do_nothing()
    return statement


def upsert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row whose primary key is there already takes the new values."""
    if rows:
        connection.execute(_upsert(connection.dialect.name, table), rows)


@cache
def _upsert(dialect: str, table: Table) -> Executable:
    """Built once: that takes longer than SQLite takes to carry it out."""
    statement = _insert(dialect, table)
    new = {column.name: statement.excluded[column.name] for column in table.c if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=new)


def connect(url: URL, **options: Any) -> Engine:
    """Raises StoreError where the driver is missing."""
    if url.get_backend_name() == "sqlite":
        options = {"connect_args": {"timeout": BUSY_TIMEOUT}, **options}
    else:
        unsaid = {key: value for key, value in _NETWORK.items() if key not in url.query}
        options = {"connect_args": unsaid, **options}
    try:
        # Python writes NaN as a word that JSON does not have, and PostgreSQL refuses.
        return create_engine(url, json_serializer=partial(json.dumps, allow_nan=False), **options)
    except NoSuchModuleError:
        raise StoreError(
            f"{url.drivername} is not a known database driver; a URL looks like {_EXAMPLES}"
        ) from None
    except ImportError as error:
        raise StoreError(
            f"{url.drivername} needs the Python package {error.name}, which is not installed: pip install "
            f"{error.name}, or this program with its extra [postgres]"
        ) from None


def _connect_to_server(url: URL, waiting: Waiting | None = None, **options: Any) -> Engine:
    engine = connect(url, pool_pre_ping=True, **options)
    from sweeper.store.postgres_locks import limit_waiting  # psycopg, which SQLite's users need not wait for

    limit_waiting(engine, waiting)
    return engine


def take_turns(connection: Connection) -> None:
    """Until the transaction's end: whoever creates or changes tables is alone. SQLite's begin does it."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})"))


def _connect_read_only(file: Path, factory: type[sqlite3.Connection]) -> sqlite3.Connection:
    if not file.is_file():
        raise NoStore(f"there is no database {file}: no sweep was ever run with it")
    return connect_read_only(file, factory)


def schema_of(connection: Connection) -> int | None:
    """The schema of the store; None where there are no tables yet. Raises StoreError: newer, or not ours."""
    if not inspect(connection).has_table(meta.name):
        return None
    ours = {"key", "value"} <= {column["name"] for column in inspect(connection).get_columns(meta.name)}
    query = select(meta.c.value).where(meta.c.key == "schema_version")
    stored = connection.execute(query).scalar_one_or_none() if ours else None
    place = shown(connection.engine.url)
    if stored is None or not stored.isdigit():
        raise StoreError(f"{place} has a table named meta that is not this program's; use another database")
    if int(stored) > SCHEMA_VERSION:
        raise StoreError(
            f"{place} was written by a newer version of this program (its schema is {stored}, "
            f"this one reads {SCHEMA_VERSION}); update this program, or use another database"
        )
    return int(stored)


def _refuse_older(connection: Connection, stored: int) -> None:
    if stored == SCHEMA_VERSION:
        return
    raise OldStore(
        f"{shown(connection.engine.url)} was written by an older version of this program (its schema is "
        f"{stored}, this one's is {SCHEMA_VERSION}); python -m sweeper migrate brings it up to date"
    )


def shown(url: URL) -> str:
    """The file, or the server's URL with the password starred out."""
    return (
        str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)
    )


def _in_words(error: DBAPIError, url: URL) -> str:
    cause = "; ".join(line.strip() for line in str(error.orig).splitlines() if line.strip())
    if url.password:
        cause = cause.replace(str(url.password), "***")
    return f"the database {shown(url)} cannot be used: {cause}"
