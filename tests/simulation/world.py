"""What surrounds a simulated sweep: a clock that only the simulation moves, connections and file operations
that it stands in, and the points at which a fault may strike.

A point is before and after every statement and every commit of a driver, before and after a file is renamed,
synced or deleted, at every step of a worker and every turn of the driver's loop. They are counted over all
drivers of a sweep, so that one number says where a fault strikes.

The clock and SQLite's connections are handed in to the store and the driver. File operations have no seam:
`os` is stood in for, and counts what lies below the sweep's folder."""

import gc
import os
import random
import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from unittest import mock

from sqlalchemy import URL, Engine

from sweeper.execution import registration
from sweeper.store import engine, sqlite_files
from sweeper.store.clock import Clock
from sweeper.strategies.samplers import SAMPLERS, NsgaII, Tpe

SHORTLY = 8  # points: up to the next transaction
LATER = 60  # points: a few steps of a worker
WRITES = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b")
BEGAN = 1_800_000_000.0  # seconds since 1970
SOONER = {"tpe": Tpe(startup=4), "nsgaii": NsgaII(population=4)}  # what few trials are enough to learn from
# Where a fault may strike: before and after a statement, a commit, a file's operation; at a worker's step,
# and a turn of the loop.
STATEMENT, EXECUTED, COMMIT, COMMITTED = "statement", "executed", "commit", "committed"
FILE, FILED, STEP, TURN = "file", "filed", "step", "turn"
ANYWHERE = (STATEMENT, EXECUTED, COMMIT, COMMITTED, FILE, FILED, STEP, TURN)
IN_THE_DATABASE = (STATEMENT, COMMIT)
BETWEEN = (COMMITTED, STEP, TURN)  # no transaction is open: others may write


class Killed(BaseException):
    """The driver is dead: nothing of its memory is left."""


class WorkerDied(BaseException):
    """The process that trains, alone."""


class Timed(Protocol):
    """A fault: at what point it is to strike, or later."""

    @property
    def at(self) -> int: ...


class Strike(NamedTuple):
    fault: Timed
    where: Sequence[str]  # one of these
    act: Callable[[], bool | None]  # False: it cannot be done now, and is tried at the next point


class World:
    """now: steady seconds. ahead: of the wall clock's, which may jump."""

    def __init__(self, seed: int, place: Path):
        self.random = random.Random(seed)
        self.now, self.ahead = 0.0, BEGAN
        self.clock = Clock(wall=lambda: self.ahead + self.now, steady=lambda: self.now)
        self.points = 0
        self.writes: dict[str, list[int]] = {}  # by the statement's text: at which points
        self.strikes: list[Strike] = []
        self.struck: list[str] = []  # kinds of faults, as they came
        self.saves = True  # whether a worker that is closed saves
        self.dead = False  # the driver, whose memory is being unwound: nothing of it acts any more
        self._place, self._connections = str(place), list[Any]()
        self.factory = _connections_of(self)

    @contextmanager
    def entered(self) -> Iterator[None]:
        with (
            mock.patch.object(os, "replace", self._watched(os.replace)),
            mock.patch.object(os, "unlink", self._watched(os.unlink)),
            mock.patch.object(os, "fsync", self._watched(os.fsync)),
            # It asks git.
            mock.patch.object(registration, "code_version", return_value="simulated"),
            mock.patch.dict(SAMPLERS, SOONER),
        ):
            yield

    def _watched(self, operation: Callable[..., None]) -> Callable[..., None]:
        def watched(file: Any, *more: Any, **named: Any) -> None:
            ours = isinstance(file, int) or str(file).startswith(self._place)
            if not ours or str(file).endswith(".lock"):
                return operation(file, *more, **named)
            self.point(FILE)
            operation(file, *more, **named)
            self.point(FILED)

        return watched

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def strike(self, fault: Timed, where: Sequence[str], act: Callable[[], bool | None]) -> None:
        self.strikes.append(Strike(fault, where, act))

    def point(self, where: str) -> None:
        if self.dead:
            raise Killed
        self.points += 1
        due = [each for each in self.strikes if each.fault.at <= self.points and where in each.where]
        for each in due:
            if each in self.strikes:
                self.strikes.remove(each)
                self.struck.append(type(each.fault).__name__)
                if each.act() is False:
                    self.struck.remove(type(each.fault).__name__)
                    self.strikes.append(each)

    def statement(self, text: str) -> None:
        if WRITES.match(text):
            self.writes.setdefault(text, []).append(self.points + 1)
        self.point(STATEMENT)

    def some_point(self, random: random.Random) -> int:
        """Of those that there were: any, or soon after a statement that writes, of which the rare are as
        likely."""
        if random.random() < 0.3:
            return random.randint(1, self.points)
        text = random.choice(sorted(self.writes))
        return random.choice(self.writes[text]) + random.randint(0, random.choice((SHORTLY, SHORTLY, LATER)))

    def kill(self) -> None:
        self.dead, self.saves = True, False
        raise Killed

    # --- connections --------------------------------------------------------------------------
    def opened(self, connection: sqlite3.Connection) -> None:
        if self.dead:
            raise Killed
        self._connections.append(connection)

    def alive(self) -> int:
        """How many connections were opened by those that live."""
        return len(self._connections)

    def within_a_transaction(self) -> bool:
        """Of another connection than the one that has just committed."""
        return any(not each.closed and each.in_transaction for each in self._connections)

    def bury(self, earlier: int = 0) -> None:
        """What a dead process held is let go of: all but the earliest of the connections."""
        for connection in self._connections[earlier:]:
            connection.close()
        del self._connections[earlier:]
        self.dead = False


def _connections_of(world: World) -> type[sqlite3.Connection]:
    class Cursor(sqlite3.Cursor):
        def execute(self, *given: Any) -> sqlite3.Cursor:  # type: ignore[override]
            return _statement(super().execute, *given)

        def executemany(self, *given: Any) -> sqlite3.Cursor:  # type: ignore[override]
            return _statement(super().executemany, *given)

    def _statement(execute: Callable[..., sqlite3.Cursor], *given: Any) -> sqlite3.Cursor:
        world.statement(given[0])
        cursor = execute(*given)
        world.point(EXECUTED)
        return cursor

    class Connection(sqlite3.Connection):
        closed = False

        def __init__(self, *given: Any, **named: Any):
            super().__init__(*given, **{**named, "timeout": 0.0})  # whoever waits here waits forever
            world.opened(self)

        def execute(self, *given: Any) -> sqlite3.Cursor:  # type: ignore[override]
            waits = str(given[0]).startswith("PRAGMA busy_timeout")
            return super().execute("PRAGMA busy_timeout = 0" if waits else given[0], *given[1:])

        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(Cursor)

        def commit(self) -> None:
            world.point(COMMIT)
            super().commit()
            world.point(EXECUTED if world.within_a_transaction() else COMMITTED)

        def rollback(self) -> None:
            if not world.dead:  # the database does it, once the process is gone
                super().rollback()

        def close(self) -> None:
            with suppress(sqlite3.ProgrammingError):  # it is closed
                super().rollback()  # a cursor that somebody still knows would keep its locks
            super().close()
            self.closed = True

    return Connection


_COMPILED, _DIALECTS = dict[Any, Any](), dict[str, Any]()  # of all stores of this process


@contextmanager
def cheap() -> Iterator[None]:
    """What costs and is no part of what is tried: statements are compiled once for all stores, not once for
    each; what has no owner is collected at the end."""
    create = engine.create_engine

    def created(url: URL, **options: Any) -> Engine:
        made = create(url, **{**options, "execution_options": {"compiled_cache": _COMPILED}})
        made.dialect = _DIALECTS.setdefault(url.drivername, made.dialect)
        return made

    gc.disable()
    try:
        with (
            mock.patch.object(engine, "create_engine", created),
            mock.patch.object(sqlite_files, "READERS", 0.0),  # whoever waits here waits in vain
        ):
            yield
    finally:
        gc.enable()


def fails(text: str) -> Callable[[], None]:
    """What SQLite says where the disk, or another process, is in the way."""

    def act() -> None:
        raise sqlite3.OperationalError(text)

    return act


def fails_with(number: int) -> Callable[[], None]:
    """number: what the system says of a file."""

    def act() -> None:
        raise OSError(number, os.strerror(number))

    return act
