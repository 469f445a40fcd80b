"""How long are others' locks waited for in PostgreSQL? As long as in SQLite; a driver is told as often."""

import time
from collections.abc import Generator
from typing import Any

from psycopg import Connection
from sqlalchemy import Engine, event

from sweeper.store.sqlite_files import AT_ONCE, BUSY_TIMEOUT, PATIENCE, Waiting

# A driver that was halted in a transaction keeps others from the lease no longer than this.
HALTED = 20_000  # ms


def limit_waiting(engine: Engine, waiting: Waiting | None = None) -> None:
    """Of every connection of the engine. waiting: a driver's, which waits long, and is told so."""
    seconds = BUSY_TIMEOUT if waiting is None else PATIENCE

    def connect(_: Any, __: Any, arguments: Any, options: Any) -> "Connection[Any]":
        connection = Telling.connect(*arguments, **options)
        connection.waiting = waiting
        return connection

    def limit(connection: Any, _: Any) -> None:
        connection.execute(f"SET lock_timeout = {int(seconds * 1000)}")
        connection.execute(f"SET idle_in_transaction_session_timeout = {HALTED}")
        connection.commit()

    if waiting is not None and engine.dialect.driver == "psycopg":
        event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", limit)


class Telling(Connection[Any]):
    """One whose `waiting` is told how many seconds a statement has taken, every AT_ONCE of them."""

    waiting: Waiting | None = None

    def wait(self, gen: Generator[Any, Any, Any], *limits: Any, **named: Any) -> Any:
        """psycopg's: gen is resumed ten times a second while the server has no answer."""
        return super().wait(gen if self.waiting is None else _told(gen, self.waiting), *limits, **named)


def _told(gen: Generator[Any, Any, Any], waiting: Waiting) -> Generator[Any, Any, Any]:
    began = time.monotonic()
    told = 0.0
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if (waited := time.monotonic() - began) - told >= AT_ONCE:
                told = waited
                waiting(waited)
            wanted = gen.send(ready)
    except StopIteration as end:
        return end.value
