"""What surrounds a simulated sweep: a clock that only the simulation moves, and the points at which a fault
may strike.

A point is before and after every statement and every commit of a driver, every step of a worker, and each
half of a checkpoint. They are counted over all drivers of a sweep, so that one number says where a fault
strikes."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from sweeper.execution import registration

BEGAN = 1_800_000_000.0  # seconds since 1970


class Killed(BaseException):
    """The driver is dead: nothing of its memory is left."""


class World:
    """now: monotonic seconds. ahead: of the wall clock's, which may jump."""

    def __init__(self, seed: int):
        self.random = random.Random(seed)
        self.now, self.ahead = 0.0, BEGAN
        self.points = 0
        self.strikes: dict[int, list[Callable[[str], None]]] = {}  # what happens at a point
        self.saves = True  # whether a worker that is closed saves

    @contextmanager
    def entered(self) -> Iterator[None]:
        with (
            mock.patch.object(time, "monotonic", side_effect=lambda: self.now),
            mock.patch.object(time, "time", side_effect=lambda: self.ahead + self.now),
            # It asks git, whose end subprocess waits for by this clock.
            mock.patch.object(registration, "code_version", return_value="simulated"),
        ):
            yield

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def point(self, where: str) -> None:
        """where: statement, commit, committed, step, save or saved."""
        self.points += 1
        for strike in self.strikes.pop(self.points, ()):
            strike(where)

    def watch(self, engine: Engine) -> None:
        """Every statement and commit of it is a point."""
        event.listen(engine, "before_cursor_execute", lambda *_: self.point("statement"))
        event.listen(engine, "after_cursor_execute", lambda *_: self.point("executed"))
        event.listen(engine, "commit", lambda _: self.point("commit"))
        commit = engine.dialect.do_commit

        def committed(connection: Any) -> None:
            commit(connection)
            self.point("committed")

        engine.dialect.do_commit = committed  # type: ignore[method-assign]


def kill(_: str) -> None:
    raise Killed


def database_error(text: str) -> Callable[[str], None]:
    """What SQLite says where the disk, or another process, is in the way. Only a statement can be told so."""

    def strike(where: str) -> None:
        if where in ("statement", "commit"):
            raise OperationalError("", {}, sqlite3.OperationalError(text))

    return strike
