"""Every sweep in a line: how far it is, its best, what it has cost, who drives it, what runs now.

What takes long (the board, the ledgers) is read again only when a sweep has gone on, and not at once; of many
sweeps only so many at a time."""

import time
from dataclasses import dataclass
from typing import NamedTuple

import streamlit as st

from dashboard import data
from dashboard.data import Found
from dashboard.deciding import best_of
from dashboard.running import brief
from dashboard.snapshot import ENDED, Snapshot
from dashboard.values import ago, interval
from sweeper.results.leaderboard import Board, leaderboard
from sweeper.results.progress_estimate import RunningTrial, pretrains, running_stages, stored_progress
from sweeper.results.savings import hours, savings, spent_in_words, used
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord

REST = 20  # times as long as the last reading took, at least, before the next
PATIENCE = 1.0  # seconds of one drawing that go into what takes long
SHOWN = 2  # of what runs now


class Line(NamedTuple):
    sweep: str
    state: list[str]
    part: float  # of its trials that have ended
    progress: str
    best: float | None
    interval: str
    runs: str
    cost: str
    saved: str
    budget: str
    driver: str
    started: float
    took: str
    tags: str  # as its specification has them
    describe: str


class Dear(NamedTuple):
    """What takes long."""

    best: float | None = None
    interval: str = ""
    saved: str = ""


@dataclass
class _Held:
    dear: Dear | None = None
    of: tuple[object, ...] = ()  # what the sweep was like
    whole: Line | None = None  # of one that has ended
    whole_of: tuple[object, ...] = ()
    made: float = 0.0
    took: float = 0.0


def overview(sweeps: list[Found]) -> list[Line]:
    began, lines = time.monotonic(), []
    for found in sweeps:
        held, of = _held(found.url, found.sweep.name), (found.sweep.state, found.sweep.ended, found.label)
        if held.whole is None or held.whole_of != of:
            line = _line(found, began)
            # Of a sweep that has ended nothing changes any more.
            is_whole = found.sweep.state in ENDED and held.dear is not None
            held.whole, held.whole_of = (line, of) if is_whole else (None, ())
            lines.append(line)
        else:
            lines.append(held.whole)
    return lines


def _line(found: Found, began: float) -> Line:
    reader, sweep, now = data.reader_of(found.url), found.sweep, time.time()
    driver = sweep.driver(now)
    # Of one that runs what has changed is read, as its own pages do: they share it.
    live = data.snapshot_of(found.url, sweep.name) if driver else None
    trials = list(live.trials.values()) if live else reader.trials(sweep.id)
    stages = reader.stages_behind({trial.stage for trial in trials if trial.stage})
    progress = live.progress if live else stored_progress(reader, sweep, now, trials)
    state = sweep.state
    if driver is None and state in ("running", "paused"):
        state = "cut off"
    dear = _dear(found, reader, trials, live, began) or Dear()
    return Line(
        sweep=found.label,
        state=[state],
        part=min(1.0, progress.ended / progress.total) if progress.total else 0.0,
        progress=brief(progress),
        best=dear.best,
        interval=dear.interval,
        runs=_runs(reader, sweep, trials) if driver else "",
        cost=used(sweep, trials, stages).words(),
        saved=dear.saved,
        budget=spent_in_words(reader, sweep, trials),
        driver=driver or "nobody",
        started=sweep.created,
        took=ago((sweep.ended or now) - sweep.created),
        tags=", ".join(sweep.spec.get("tags", ())),
        describe=sweep.spec.get("describe", ""),
    )


def _runs(reader: Reader, sweep: SweepRecord, trials: list[TrialRecord]) -> str:
    """'pretrain 344c…: step 120 of 1,500; trial 7: step 20 of 200, search, seed 0 and 3 more'."""
    running = [trial for trial in trials if trial.state == "running" and trial.repeat_of is None]
    stages = pretrains(running_stages(reader, sweep, trials))
    said = [each.words() for each in stages[:SHOWN]]
    said += [
        RunningTrial.of(each, reader.last_step(each.id)).words() for each in running[: SHOWN - len(said)]
    ]
    more = len(stages) + len(running) - len(said)
    return "; ".join(said) + (f" and {more} more" if more else "")


def _dear(
    found: Found, reader: Reader, trials: list[TrialRecord], live: Snapshot | None, began: float
) -> Dear | None:
    """As it was read last; None where there was no time for it yet."""
    held, sweep = _held(found.url, found.sweep.name), found.sweep
    of = (sweep.state, sweep.ended, None if sweep.state in ENDED else reader.version())
    now = time.monotonic()
    patient = live is not None or now - began < PATIENCE  # of one that is read the board is there
    if held.of != of and patient and now - held.made >= REST * held.took:
        saved = savings(reader, sweep, trials)
        shared = hours(saved.cpu_seconds, saved.gpu_seconds) if saved and saved.steps > 0 else ""
        held.dear = Dear(*_best(live.board if live else leaderboard(reader, sweep.name)), shared)
        held.of, held.made = of, time.monotonic()
        held.took = held.made - now
    return held.dear


def _best(board: Board) -> tuple[float | None, str]:
    """Of the numbers that decide."""
    found = best_of(board)
    return (None, "") if found is None else (found.ppl, interval(found.low, found.high))


@st.cache_resource(max_entries=256, show_spinner=False)
def _held(address: str, name: str) -> _Held:
    return _Held()
