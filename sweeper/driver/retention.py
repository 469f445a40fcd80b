"""Which checkpoints of ended trials stay on disk? `keep` in a specification says.

Rows, ledgers and the store keep everything whatever is said; `repro` makes a trial again to the bit.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from sweeper.driver.failures import in_words
from sweeper.files.remote import is_remote, within
from sweeper.files.snapshots import Snapshots
from sweeper.results.race_plan import race_plan
from sweeper.results.ranking import AFTER_SEARCH, entries_of, ranking
from sweeper.spec.sections import Keep
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import ENDS, SweepRecord, TrialRecord

LAST, BEST = "last.safetensors", "best.safetensors"
LATE = 300.0  # seconds after a trial's end: until then a worker may be copying to an object store
AT_ONCE = 20  # trials of which an object store is asked in one look
PART = 100  # of the driver's time at most one part in so many goes into looking


class Excess(NamedTuple):
    """A trial's checkpoints that need not stay."""

    trial: int
    folder: str  # a path or a URI
    names: tuple[str, ...]
    bytes: int

    @property
    def paths(self) -> list[str]:
        return [within(self.folder, name) for name in self.names]

    def delete(self) -> None:
        """Raises Timeout where a worker is in the folder; OSError."""
        if is_remote(self.folder):
            Snapshots(self.folder).drop(self.names)
            return
        with FileLock(Path(self.folder, ".lock"), timeout=0):  # the worker's
            for name in self.names:
                Path(self.folder, name).unlink(missing_ok=True)


def excess(reader: Reader, sweep: SweepRecord) -> list[Excess]:
    """What there is beyond the sweep's `keep`."""
    return found(sweep, unneeded(reader, sweep))


def unneeded(reader: Reader, sweep: SweepRecord) -> dict[int, tuple[str, ...]]:
    """By trial that has ended: the names of checkpoints that need not stay, whether they are there or not. Of
    an object store only what ended a while ago: until then a worker may be copying there."""
    spec = SweepSpec.from_resolved(sweep.spec)
    if spec.keep == Keep():
        return {}
    trials = [trial for trial in reader.trials(sweep.id) if trial.repeat_of is None]
    winners = None if spec.keep.best == "all" else winning(reader, sweep.id, trials, spec)
    needed = raced_yet(reader, sweep, spec, trials)
    before = time.time() - LATE if is_remote(sweep.folder) else math.inf
    names: dict[int, tuple[str, ...]] = {}
    for trial in trials:
        if not has_ended(trial) or (trial.ended or 0.0) > before:
            continue
        if spec.keep.last == "running":
            names[trial.id] = (LAST,)
        if winners is not None and trial.configuration not in winners:
            names[trial.id] = (LAST,) if trial.id in needed else (LAST, BEST)
    return names


def found(sweep: SweepRecord, names: Mapping[int, tuple[str, ...]]) -> list[Excess]:
    """Those of the files that are there."""
    there = []
    for trial, mine in names.items():
        folder = within(sweep.folder, "trials", str(sweep.id), str(trial))
        if sizes := _sizes(folder, mine):
            there.append(Excess(trial, folder, tuple(sizes), sum(sizes.values())))
    return there


def _sizes(folder: str, names: Sequence[str]) -> dict[str, int]:
    """Bytes of those that there are. An object store that does not answer has none."""
    if not is_remote(folder):
        files = [Path(folder, name) for name in names]
        return {file.name: file.stat().st_size for file in files if file.is_file()}
    with suppress(OSError):
        newest = Snapshots(folder).newest()
        there = {} if newest is None else newest.files
        return {name: there[name].bytes for name in names if name in there}
    return {}


def raced_yet(reader: Reader, sweep: SweepRecord, spec: SweepSpec, trials: list[TrialRecord]) -> set[int]:
    """Trials whose best checkpoint a race that is not over may score: those on its rounds' seeds."""
    if spec.settle is None or sweep.state in ("complete", "failed"):
        return set()
    there = race_plan(reader, sweep.id, spec.settle)
    if not there.wanted and any(contest.race is not None for contest in there.contests):
        return set()
    return {trial.id for trial in trials if trial.seed in spec.race_seed_values}


def winning(reader: Reader, sweep: int, trials: list[TrialRecord], spec: SweepSpec) -> set[int] | None:
    """Configurations of which everything stays; None, all of them, where there is no order yet.

    The first of the board, those on the Pareto front, those that were confirmed or raced, and those that
    still have a trial to run.
    """
    evaluations = {each.trial: each for each in reader.evaluations(sweep, "valid")}
    searched = [trial for trial in trials if trial.role not in AFTER_SEARCH]
    ranked = ranking(entries_of(searched, evaluations)).rows
    if not ranked or spec.keep.best == "all":
        return None
    confirmed = {trial.configuration for trial in trials if trial.role in AFTER_SEARCH}
    unfinished = {trial.configuration for trial in trials if not has_ended(trial)}
    settled = [each.entry.configuration for each in ranked if each.entry.configuration not in unfinished]
    return {*settled[: spec.keep.best], *_on_the_front(reader, sweep, spec), *confirmed, *unfinished}


def _on_the_front(reader: Reader, sweep: int, spec: SweepSpec) -> set[int]:
    if len(spec.metrics) == 1:
        return set()
    from sweeper.results.leaderboard import leaderboard

    return {row.configuration for row in leaderboard(reader, spec.name).rows if row.pareto}


def has_ended(trial: TrialRecord) -> bool:
    """Its worker is not to come back to it. (One that is pruned has no end until that is said.)"""
    return trial.state in ENDS and trial.ended is not None


class Removed(NamedTuple):
    gone: list[Excess]
    busy: list[Excess]  # a worker is still in the folder
    refused: list[OSError]  # of what may not be deleted


def remove(found: Iterable[Excess]) -> Removed:
    gone, busy, refused = list[Excess](), list[Excess](), list[OSError]()
    for each in found:
        try:
            each.delete()
            gone.append(each)
        except Timeout:
            busy.append(each)
        except OSError as error:
            refused.append(error)
    return Removed(gone, busy, refused)


def folder_of(sweep: SweepRecord, trial: int) -> Path:
    return Path(sweep.folder) / "trials" / str(sweep.id) / str(trial)


class Retention:
    """The driver's: looks now and then, so that a long sweep does not fill the disk.

    A trial that is stopped saves once more after its end is in the store; so it is not done at that moment.
    """

    def __init__(
        self,
        sweep: str,
        keep: Keep,
        reader: Reader,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        pause: float = 5.0,
    ):
        """sweep: by its name; what it is asked for while it runs, the store says at each look.

        say: what stays because it may not be deleted, once. pause: seconds at least between two looks.
        """
        self._clock = clock
        self._sweep, self._keep, self._reader, self._pause = sweep, keep, reader, pause
        self._say, self._said = say, False
        self._idle = keep == Keep()
        self._asked: dict[int, tuple[str, ...]] = {}  # what an object store was asked for, by trial
        self._next = 0.0
        self.due = True  # a trial has ended since the last look

    def look(self) -> None:
        """Deletes what is beyond `keep`, if there may be something and it is time."""
        if self.due and not self._idle and self._clock() >= self._next:
            self.look_now()

    def look_now(self) -> None:
        began = self._clock()
        if (sweep := self._reader.sweep(self._sweep)) is not None:
            keep = self._keep.model_dump(mode="json")
            names = unneeded(self._reader, sweep._replace(spec={**sweep.spec, "keep": keep}))
            if is_remote(sweep.folder):
                new = {trial: mine for trial, mine in names.items() if self._asked.get(trial) != mine}
                names = dict(islice(new.items(), AT_ONCE))
                self._asked |= names
            removed = remove(found(sweep, names))
            self.due = bool(removed.busy) or len(names) == AT_ONCE
            if removed.refused and not self._said:
                self._said = True
                which = "checkpoints that `keep` need not keep may not be deleted, and stay"
                self._say(f"{which}: {in_words(removed.refused[0])}")
        took = self._clock() - began
        self._next = began + max(self._pause, PART * took)
