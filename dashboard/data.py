"""Read-only access to the store, cached until somebody commits. The only file here that knows the store.

A page that polls a store in which nobody has committed reads nothing.
"""

import gc
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.passports import Passport, passports_of
from dashboard.runs import from_trials
from sweeper.results.leaderboard import Board, Watched
from sweeper.results.progress_estimate import ProgressEstimate, running_stages, stored_progress
from sweeper.store.engine import StoreError
from sweeper.store.followed import Latest
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, LatestRecord, StageRecord, SweepRecord, TrialRecord

ENDED = ("complete", "failed")  # states of a sweep in which a page stops polling
REST = 3  # times as long as the last reading took, before the next
LONGEST_REST = 2.0  # seconds: what is shown is seldom older than twice that
DEFAULT_URL = "sqlite:///sweeps.db"


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


class Found(NamedTuple):
    """A sweep, and the store that it is in."""

    url: str
    sweep: SweepRecord
    label: str  # what a picker calls it: its name, with the store's where two stores have one of that name


def urls() -> list[str]:
    """The stores that are shown: SWEEPER_DB, a line each; a path may have spaces."""
    lines = [line.strip() for line in os.environ.get("SWEEPER_DB", "").split("\n")]
    return [line for line in dict.fromkeys(lines) if line] or [DEFAULT_URL]


def url() -> str:
    """Of the store that the chosen sweep is in."""
    return st.session_state.get("store-url", urls()[0])


def shown_url(url: str) -> str:
    """A store's address without its password, wherever in it that was written."""
    head, at, tail = url.rpartition("@")
    place = tail.partition("?")[0]
    if not at:
        return place
    scheme, slashes, user = head.rpartition("://")
    return f"{scheme}://{user.partition(':')[0]}:***@{place}" if slashes else f"***@{place}"


def sweeps() -> tuple[list[Found], str]:
    """All sweeps of all stores, newest first; and in a sentence each, which stores cannot be read."""
    found: list[Found] = []
    problems = []
    for address in urls():
        try:
            reader = _reader(address)
            reader.version()  # a file that was moved away is open still, and could be read on
            there = reader.sweeps()
        except StoreError as error:
            problems.append(str(error))
            continue
        found += [Found(address, sweep, sweep.called) for sweep in there]
    return labelled(found), "\n".join(problems)


def labelled(found: Sequence[Found]) -> list[Found]:
    """Newest first, and each called so that no two are called alike."""
    names = Counter(each.sweep.called for each in found)
    return [
        each._replace(label=name if names[name] == 1 else f"{name} ({shown_url(each.url)})")
        for each in sorted(found, key=lambda each: -each.sweep.created)
        for name in (each.sweep.called,)
    ]


def choose(found: Found) -> None:
    """The sweep that pages show from now on."""
    st.session_state["store-url"], st.session_state["sweep-name"] = found.url, found.sweep.name


def is_chosen(found: Found) -> bool:
    kept = st.session_state
    return (kept.get("store-url"), kept.get("sweep-name")) == (found.url, found.sweep.name)


def chosen() -> Snapshot:
    """The chosen sweep as it is now. Raises StoreError in a sentence where it cannot be read.

    What has changed is read when somebody has committed, but where that takes long not again at once: a sweep
    of thousands of trials commits all the time. The end of a sweep is always read.
    """
    return snapshot_of(url(), st.session_state["sweep-name"])


def snapshot_of(address: str, name: str) -> Snapshot:
    """Of a sweep of one of `urls`; as `chosen`."""
    held, reader = _held(address, name), _reader(address)
    if held.is_read:
        return held.now(reader, name)
    with _said_to_be_read(reader, name):
        return held.now(reader, name)


@contextmanager
def _said_to_be_read(reader: Reader, name: str) -> Iterator[None]:
    """For the first time: of a big sweep the page would be blank for seconds."""
    place, sweep = st.empty(), reader.sweep(name)
    trials = sum(reader.trial_states(sweep.id).values()) if sweep else 0
    place.text(f"{name} is being read: {trials:,} trials. Later only what has changed is read.")
    try:
        yield
    finally:
        place.empty()


def reader() -> Reader:
    return _reader(url())


def reader_of(address: str) -> Reader:
    """Of one of `urls`: for a page that shows more than the chosen sweep."""
    return _reader(address)


def live(page: Callable[[], None], seconds: float) -> None:
    """Draws a page, and draws it again every so many seconds until its sweep has ended.

    app.watch redraws everything when the sweep starts or ends, so that this is decided anew. While the store
    cannot be read, a sentence says so, and the page comes back with it.
    """
    try:
        ended = chosen().sweep.state in ENDED
    except StoreError:
        ended = False
    st.fragment(guarded(page), run_every=None if ended else seconds)()


def guarded(page: Callable[[], None]) -> Callable[[], None]:
    """A page that is drawn again by itself: where the store cannot be read it says so, and nothing else."""

    def drawn() -> None:
        try:
            page()
        except StoreError as error:
            st.text(f"The store cannot be read now: {error}. This page looks again every few seconds.")

    return drawn


@st.cache_resource(max_entries=64, show_spinner=False)  # more than anybody shows: a new one reads all anew
def _reader(address: str) -> Reader:
    return Reader(address)


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
            watched = Watched(reader, name)
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


@st.cache_resource(max_entries=8, show_spinner=False)
def _held(address: str, name: str) -> Held:
    return Held()


def passports(now: Snapshot) -> list[Passport]:
    """Every identity in the sweep: one a split, unless something is wrong."""
    return now.passports
