"""What is read: a database; or, of an SQLite file of an older version, a copy that is brought up to date. And
how thousands of its rows are: as the database's driver gives them, their JSON parsed together."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import JSON, Column, ColumnElement, Connection, Select, Table, Text, cast, literal, text

from sweeper.store.engine import (
    OldStore,
    StoreError,
    in_sentences,
    open_for_reading,
    sqlite_file,
    transaction,
)
from sweeper.store.migrate import copy_brought_up_to_date
from sweeper.store.records import TrialRecord
from sweeper.store.sqlite_files import log_of

AT_ONCE = 1000  # JSON texts that are parsed as one: equal keys in them are one string


class Source:
    """Opened to be read, never written. Raises StoreError in a sentence. Threads may share it."""

    def __init__(self, url: str, factory: type[sqlite3.Connection] = sqlite3.Connection):
        """factory: of SQLite's connections."""
        self._url, self._file, self._factory = url, sqlite_file(url), factory
        self._watch: Connection | None = None  # SQLite: kept open for version()
        self._copy: TemporaryDirectory[str] | None = None  # of an older store
        self._lock = threading.Lock()
        self._open()

    def close(self) -> None:
        with self._lock:
            self._close()

    def version(self) -> int:
        """Reader.version"""
        with self._lock:
            if self._file is None:
                with transaction(self.engine) as connection:
                    return _digest(connection.scalar(text("SELECT pg_current_snapshot()::text")))
            if self._state() != self._opened:
                # The file was made anew, and old connections see the old one; or one that nobody changed, or
                # that was copied, has been changed.
                self._close()
                self._open()
            with in_sentences(self.engine.url):
                if self._watch is None:
                    self._watch = self.engine.connect()
                return _digest(self._opened, self._watch.scalar(text("PRAGMA data_version")))

    def _open(self) -> None:
        self._opened = self._state() if self._file is not None and self._file.is_file() else None
        try:
            self.engine = open_for_reading(self._url, self._factory)
        except OldStore:
            if self._file is None:
                raise
            self._copy = TemporaryDirectory(prefix="bd3lm-sweep-")
            self._opened = self._state()
            self.engine = open_for_reading(copy_brought_up_to_date(self._file, Path(self._copy.name)))

    def _close(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None
        self.engine.dispose()
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None

    def _state(self) -> Any:
        """Of the file. Raises StoreError where it is gone."""
        if self._file is None:
            return None
        try:
            now = self._file.stat()
        except OSError:
            raise StoreError(f"the database {self._file} is gone") from None
        state = (now.st_ino, now.st_size, now.st_mtime_ns, (log := log_of(self._file)).exists())
        if self._copy is None or not log.exists():
            return state
        return (*state, log.stat().st_size, log.stat().st_mtime_ns)


def _digest(*parts: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:6])


def columns_of(
    table: Table, record: Any, unread: Collection[str] = ()
) -> Iterator[Column[Any] | ColumnElement[Any]]:
    """In the order of the record's fields; JSON as text. unread: of that kind, in whose place there is an
    empty object."""
    for field in record._fields:
        column = table.c[field]
        if field in unread:
            yield literal("{}").label(field)
        else:
            yield cast(column, Text).label(field) if isinstance(column.type, JSON) else column


def fetched(connection: Connection, query: Select[Any], **values: Any) -> Sequence[tuple[Any, ...]]:
    """query: no column is a JSON one, that would need more. values: that it has names for."""
    found = connection.execute(query, values).cursor
    assert found is not None
    return found.fetchall()


def parsed(texts: Sequence[str | None]) -> list[Any]:
    """Of few by Python's parser, which is there already; of many by pydantic's: numbers in a quarter of the
    time, equal to the bit."""
    loads = json.loads if len(texts) < AT_ONCE else _loads_of_many()
    found: list[Any] = []
    for at in range(0, len(texts), AT_ONCE):
        found += loads(f"[{','.join(text or 'null' for text in texts[at : at + AT_ONCE])}]")
    return found


def _loads_of_many() -> Callable[[str], Any]:
    from pydantic_core import from_json

    def loads(text: str) -> Any:
        try:
            return from_json(text)
        except ValueError:  # it knows half a surrogate for none of a text; or the text is damaged
            return json.loads(text)

    return loads


class Same:
    """Of JSON that many rows have alike: one value."""

    def __init__(self) -> None:
        self._values: dict[str, Any] = {}

    def __call__(self, text: str | None) -> Any:
        text = text or "null"
        if text not in self._values:
            self._values[text] = json.loads(text)
        return self._values[text]


def trials_of(columns: Sequence[Sequence[Any]], same: Same) -> Iterator[TrialRecord]:
    """columns: as columns_of names them."""
    fields: dict[str, Any] = dict(zip(TrialRecord._fields, columns, strict=True))
    fields["params"], fields["system_attrs"] = map(parsed, (fields["params"], fields["system_attrs"]))
    fields["distributions"] = map(same, fields["distributions"])
    return map(
        TrialRecord._make, zip(*fields.values(), strict=True)
    )  # their own way takes four times as long
