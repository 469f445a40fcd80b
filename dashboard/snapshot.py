"""One sweep as pages show it: all that was read of it at one moment, and what reads it again."""

import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from dashboard import frame
from dashboard.passports import Passport, passports_of
from dashboard.runs import from_trials
from sweeper.results.leaderboard import Board, Watched
from sweeper.results.progress_estimate import ProgressEstimate, running_stages, stored_progress
from sweeper.store.followed import Followed, Latest
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, LatestRecord, StageRecord, SweepRecord, TrialRecord

ENDED = ("complete", "failed")  # states of a sweep in which a page stops polling
REST = 3  # times as long as the last reading took, before the next
LONGEST_REST = 2.0  # seconds: what is shown is seldom older than twice that


@dataclass(frozen=True, eq=False)
class Snapshot:
    """All that pages show of a sweep, read at one version of the store. Shared by sessions: never changed.

    What one page in a few asks for is made when it is asked for."""

    sweep: SweepRecord
    board: Board
    trials: dict[int, TrialRecord]
    latest: "Records"
    progress: ProgressEstimate
    stages: list[StageRecord]  # pretrains that run
    values: dict[int, dict[str, Any]]  # of every configuration, complete
    evaluations: Mapping[str, Mapping[int, EvaluationRecord]]  # by split and trial

    @cached_property
    def passports(self) -> list[Passport]:
        return passports_of({split: found.values() for split, found in self.evaluations.items()})

    @property
    def states(self) -> dict[str, int]:
        """Of trials, repeats not counted."""
        return self.board.trials

    @cached_property
    def searched(self) -> list[str]:
        """Dotted names that the sweep varies."""
        return frame.searched_names(self.sweep.spec, self.trials.values(), self.values)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The leaderboard: a row a configuration, best first."""
        with _uncollected():
            return frame.from_board(self.board, self.searched)

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row a trial."""
        with _uncollected():
            return from_trials(self.trials, self.latest.arrays, self.values, self.board.metric)


class Records(Mapping[int, dict[str, LatestRecord]]):
    """By trial and metric. Made of arrays when they are looked at: a page looks at a few trials of
    thousands."""

    def __init__(self, arrays: Mapping[int, Latest]):
        self.arrays = arrays

    def __getitem__(self, trial: int) -> dict[str, LatestRecord]:
        return self.arrays[trial].records()

    def __iter__(self) -> Iterator[int]:
        return iter(self.arrays)

    def __len__(self) -> int:
        return len(self.arrays)


class Held:
    """What was read last of one sweep. Sessions share it: one reads, the others wait and have it, too."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """clock: seconds."""
        self._clock, self._lock = clock, threading.Lock()
        self._watched: Watched | None = None
        self._snapshot: Snapshot | None = None
        self._version, self._made, self._took = -1, 0.0, 0.0

    @property
    def is_read(self) -> bool:
        return self._snapshot is not None

    def now(self, reader: Reader, name: str) -> Snapshot:
        with self._lock:
            version = reader.version()
            if self._snapshot is None or (self._version != version and self._is_due(reader, name)):
                began = self._clock()
                self._snapshot, self._version = self._read(reader, name), version
                self._made = self._clock()
                self._took = self._made - began
            return self._snapshot

    def _is_due(self, reader: Reader, name: str) -> bool:
        assert self._snapshot is not None
        sweep = reader.sweep(name)
        ended = sweep is None or sweep.state != self._snapshot.sweep.state
        return ended or self._clock() - self._made >= min(REST * self._took, LONGEST_REST)

    def _read(self, reader: Reader, name: str) -> Snapshot:
        watched, self._watched = self._watched, None  # where it fails half-way, all is read anew
        anew = watched is None or watched.now.reader is not reader
        if watched is None or anew:
            watched = Watched(Followed(reader, name))
        with _uncollected():
            board, now = watched.board(), watched.now
            trials = list(now.trials.values())
            snapshot = Snapshot(
                sweep=now.sweep,
                board=board,
                trials=dict(now.trials),
                latest=Records(dict(now.latest)),
                progress=stored_progress(reader, now.sweep, time.time(), trials),
                stages=running_stages(reader, now.sweep, trials) if now.sweep.driver(time.time()) else [],
                values=dict(now.values),
                evaluations={split: dict(mine) for split, mine in now.evaluations.items()},
            )
            if anew:
                gc.freeze()  # what was read stays: to look through it at each refresh would double the cost
        self._watched = watched
        return snapshot


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without a look for garbage: tens of thousands of rows are made, and all of them are kept."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
