"""Read-only access to the store, cached until somebody commits. The only file here that knows the store.

A page that polls a store in which nobody has committed reads nothing.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from dashboard import frame
from dashboard.passports import Passport, passports_of
from sweeper.results.leaderboard import Board, leaderboard
from sweeper.results.progress_estimate import ProgressEstimate, running_stages, stored_progress
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import LatestRecord, StageRecord, SweepRecord, TrialRecord

ENDED = ("complete", "failed")  # states of a sweep in which a page stops polling
REST = 3  # times as long as the last reading took, at least, before the next
DEFAULT_URL = "sqlite:///sweeps.db"


class Snapshot(NamedTuple):
    """All that pages show of a sweep, read at one version of the store. Shared by sessions: never changed."""

    sweep: SweepRecord
    board: Board
    trials: dict[int, TrialRecord]
    latest: dict[int, dict[str, LatestRecord]]  # by trial and metric
    states: dict[str, int]  # of trials, repeats not counted
    progress: ProgressEstimate
    stages: list[StageRecord]  # pretrains that run
    searched: list[str]  # dotted names that the sweep varies
    frame: pd.DataFrame  # the leaderboard: a row a configuration, best first
    values: dict[int, dict[str, Any]]  # of every configuration, complete


class Found(NamedTuple):
    """A sweep, and the store that it is in."""

    url: str
    sweep: SweepRecord
    label: str  # what a picker calls it: its name, with the store's where two stores have one of that name


def urls() -> list[str]:
    """The stores that are shown: SWEEPER_DB, a line each."""
    return os.environ.get("SWEEPER_DB", "").split() or [DEFAULT_URL]


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
            there = _reader(address).sweeps()
        except StoreError as error:
            problems.append(str(error))
            continue
        found += [Found(address, sweep, sweep.name) for sweep in there]
    names = Counter(each.sweep.name for each in found)
    found = [
        each if names[each.sweep.name] == 1 else each._replace(label=f"{each.label} ({shown_url(each.url)})")
        for each in found
    ]
    return sorted(found, key=lambda each: -each.sweep.created), "\n".join(problems)


def choose(found: Found) -> None:
    """The sweep that pages show from now on."""
    st.session_state["store-url"], st.session_state["sweep-name"] = found.url, found.sweep.name


def chosen() -> Snapshot:
    """The chosen sweep as it is now. Raises StoreError in a sentence where it cannot be read.

    Read again when somebody has committed, but where reading takes long not again at once: a sweep of
    thousands of trials commits faster than its board is made. The end of a sweep is always read.
    """
    name = st.session_state["sweep-name"]
    held = _held(url(), name)
    version = reader().version()
    if held.snapshot is None or held.version != version:
        sweep = reader().sweep(name)
        turned = held.snapshot is None or sweep is None or sweep.state != held.snapshot.sweep.state
        if turned or time.monotonic() - held.made > REST * held.took:
            began = time.monotonic()
            held.snapshot, held.version = _read(reader(), name), version
            held.made = time.monotonic()
            held.took = held.made - began
    assert held.snapshot is not None
    return held.snapshot


def reader() -> Reader:
    return _reader(url())


def live(page: Callable[[], None], seconds: float) -> None:
    """Draws a page, and draws it again every so many seconds until its sweep has ended.

    app.watch redraws everything when the sweep starts or ends, so that this is decided anew. While the store
    cannot be read, a sentence says so, and the page comes back with it.
    """

    def drawn() -> None:
        try:
            page()
        except StoreError as error:
            st.text(f"The store cannot be read now: {error}. This page looks again every few seconds.")

    try:
        ended = chosen().sweep.state in ENDED
    except StoreError:
        ended = False
    st.fragment(drawn, run_every=None if ended else seconds)()


@st.cache_resource(max_entries=4, show_spinner=False)
def _reader(address: str) -> Reader:
    return Reader(address)


@dataclass
class _Held:
    """What was read last of one sweep. Sessions share it; two that read at once do so in vain, no worse."""

    snapshot: Snapshot | None = None
    version: int = -1
    made: float = 0.0
    took: float = 0.0


@st.cache_resource(max_entries=8, show_spinner=False)
def _held(address: str, name: str) -> _Held:
    return _Held()


def _read(reader: Reader, name: str) -> Snapshot:
    sweep = reader.sweep(name)
    if sweep is None:
        raise StoreError(f"there is no sweep {name!r} in this store any more")
    trials = {trial.id: trial for trial in reader.trials(sweep.id)}
    latest: dict[int, dict[str, LatestRecord]] = {}
    for record in reader.latest(sweep.id):
        latest.setdefault(record.trial, {})[record.name] = record
    values = reader.configurations(sweep.id)
    board = leaderboard(reader, name)
    searched = frame.searched_names(sweep.spec, list(trials.values()), values)
    rows = frame.from_board(board, searched)
    states, progress = reader.trial_states(sweep.id), stored_progress(reader, sweep, time.time())
    stages = running_stages(reader, sweep) if sweep.driver(time.time()) else []
    return Snapshot(sweep, board, trials, latest, states, progress, stages, searched, rows, values)


def passports(now: Snapshot) -> list[Passport]:
    """Every identity in the sweep: one a split, unless something is wrong."""
    return _passports(reader(), url(), reader().version(), now.sweep.id)


@st.cache_resource(max_entries=4, show_spinner=False)
def _passports(_reader: Reader, address: str, version: int, sweep: int) -> list[Passport]:
    return passports_of({split: _reader.evaluations(sweep, split) for split in ("valid", "test")})
