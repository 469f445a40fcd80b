"""How far are a sweep and its pretrains, how many trials will there be, how long will it take? Said alike
wherever it is shown.

A driver knows what it has come to; `status` and the dashboard read the same facts in the store.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.results.savings import LEDGER
from sweeper.spec.race_counts import CertainRace
from sweeper.store.queries import Reader
from sweeper.store.records import ENDS, UNFINISHED, DriverRecord, StageRecord, SweepRecord, TrialRecord
from sweeper.strategies.samplers import SAMPLERS

# Words of the space, in the store as in YAML, for what has no end of values.
CONTINUOUS = ("uniform", "log_uniform")
TAIL = 256  # bytes, of a ledger's end


class ProgressEstimate(NamedTuple):
    """Of trials; repeats are not counted."""

    ended: int
    total: int  # that there will be, as far as is known now
    seconds: float | None  # since its driver began; None: nobody drives it
    seconds_left: float | None  # at the pace of all its drivers; None where there is none yet


class Planned(NamedTuple):
    """What a specification says of the number of trials."""

    configurations: int  # that the search is to try
    replicates: int  # runs of each; fewer where some are pruned or fail
    confirmations: int  # runs, when the search has ended
    race: CertainRace | None = None  # then

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Planned":
        """spec: resolved, as the store has it."""
        confirm = spec.get("confirm") or {"top": 0, "seeds": 0}
        search = spec.get("search", {})
        trials, replicates = search.get("trials", 0), spec.get("replicates", 1)
        return cls(trials, replicates, confirm["top"] * confirm["seeds"], CertainRace.of(spec))


class Run(NamedTuple):
    """What is asked of a trial; repeats are none."""

    role: str
    state: str


class Pace(NamedTuple):
    """Of all drivers: what they have come to, in the time in which the sweep was not paused."""

    ended: int
    seconds: float

    @classmethod
    def of(cls, seconds: float, drivers: Sequence[DriverRecord], trials: Sequence[TrialRecord]) -> "Pace":
        """seconds: of the drivers. Trials that ended before the first whose time is known do not count."""
        first = drivers[0].began if drivers else 0.0
        return cls(sum(trial.state in ENDS and (trial.ended or 0.0) >= first for trial in trials), seconds)


def progress_estimate(
    runs: Counter[Run], planned: Planned, proposed: int | None, pace: Pace, seconds: float | None
) -> ProgressEstimate:
    """Of a sweep that goes on. runs: how many of each. proposed: configurations, by the search; None: it is
    over. seconds: since its driver began; None: nobody drives it."""
    ended = ended_of(runs)
    unproposed = 0 if proposed is None else max(0, planned.configurations - proposed)
    live = sum(n for run, n in runs.items() if run.role == "search" and run.state not in ENDS)
    # What is complete has its replicates already; what is pruned or fails gets none.
    total = runs.total() + unproposed + (planned.replicates - 1) * (unproposed + live)
    if not any(run.role == "confirm" for run in runs):
        total += planned.confirmations
    if planned.race:
        certain = planned.race.runs(unproposed + _may_race(runs, planned.race))
        total += max(0, certain - sum(n for run, n in runs.items() if run.role == "race"))
    left = total - ended
    paced = seconds is not None and pace.ended and left
    return ProgressEstimate(ended, total, seconds, pace.seconds / pace.ended * left if paced else None)


def ended_of(runs: Counter[Run]) -> int:
    return sum(n for run, n in runs.items() if run.state in ENDS)


def _may_race(runs: Counter[Run], race: CertainRace) -> int:
    """Configurations that are there and may be ranked yet: what was pruned or failed never races."""
    alive = Counter[str]()
    for run, n in runs.items():
        alive[run.role] += n if run.state in (*UNFINISHED, "complete") else 0
    baselines = alive["baseline"] if any(run.role == "baseline" for run in runs) else race.baselines
    return alive["search"] + min(baselines, race.baselines)


def of_ended(runs: Counter[Run], seconds: float | None) -> ProgressEstimate:
    """Of a sweep that has come to its end."""
    return ProgressEstimate(ended_of(runs), runs.total(), seconds, None)


def stored_progress(
    reader: Reader, sweep: SweepRecord, now: float, trials: Sequence[TrialRecord] | None = None
) -> ProgressEstimate:
    """By the store alone. now: seconds since 1970. trials: the sweep's, where they have been read."""
    trials = reader.trials(sweep.id) if trials is None else trials
    own = [trial for trial in trials if trial.repeat_of is None]
    runs = Counter(Run(trial.role, trial.state) for trial in own)
    drivers, seconds = reader.drivers(sweep.id), None
    if sweep.driver(now) is not None:
        began = [each.began for each in drivers if each.holder == sweep.lease_holder]
        seconds = now - began[-1] if began else None
    if sweep.state in ("complete", "failed"):
        return of_ended(runs, seconds)
    proposals = [trial for trial in trials if trial.number is not None]
    proposed = sum(trial.repeat_of is None for trial in proposals)
    over = _search_is_over(reader, sweep, proposals, proposed)
    pace = Pace.of(sum(each.seconds for each in drivers), drivers, own)
    return progress_estimate(runs, Planned.of(sweep.spec), None if over else proposed, pace, seconds)


def _search_is_over(
    reader: Reader, sweep: SweepRecord, proposals: Sequence[TrialRecord], proposed: int
) -> bool:
    """proposals: repeats among them. proposed: how many are none."""
    search = sweep.spec.get("search", {})
    sampler = SAMPLERS.get(search.get("sampler", ""))  # None: of another version
    # A list is at its end when all of it was proposed, though some of it repeated a baseline.
    reached = len(proposals) if sampler and sampler.lists else proposed
    if reached >= search.get("trials", 0) or reader.said(sweep.id, "search"):
        return True
    dimensions = sweep.spec.get("space", {})
    if any(word in each for each in dimensions.values() for word in CONTINUOUS):
        return False
    size = _size(sweep.spec) if dimensions else 0
    return size is not None and len({trial.configuration for trial in proposals}) >= size


def _size(spec: Mapping[str, Any]) -> int | None:
    """Points of a space that has an end; None where that cannot be said. spec: resolved."""
    from pydantic import ValidationError  # here: what checks a specification takes a while to be imported

    from sweeper.spec.spec import SweepSpec

    try:
        return SweepSpec.from_resolved(spec).space.size()
    except ValidationError:  # of another version
        return None


# --- pretrains that run: the trainer writes a line for each step ----------------------------------
class Pretrain(NamedTuple):
    """One that is being run."""

    key: str
    step: int | None  # the last that was trained; None where it cannot be seen from here
    steps: int

    @classmethod
    def at(cls, key: str, folder: str, steps: int, reported: int | None = None) -> "Pretrain":
        """reported: its last step that was, for where its folder is not here."""
        seen = _last_step(folder)
        return cls(key, reported if seen is None else seen, steps)

    def words(self) -> str:
        """'pretrain 344c8f1bba4517c4: step 120 of 1,500'."""
        so_far = "running," if self.step is None else f"step {self.step:,} of"
        return f"pretrain {self.key}: {so_far} {self.steps:,}{' steps' if self.step is None else ''}"


class RunningTrial(NamedTuple):
    called: int
    role: str
    seed: int
    step: int  # of the last row; its pretrain's are counted
    steps: int

    @classmethod
    def of(cls, trial: TrialRecord, step: int) -> "RunningTrial":
        return cls(trial.called, trial.role, trial.seed, step, trial.steps)

    def words(self) -> str:
        """'trial 7: step 1,630 of 1,700, search, seed 0'."""
        return f"trial {self.called}: step {self.step:,} of {self.steps:,}, {self.role}, seed {self.seed}"


def running_stages(
    reader: Reader, sweep: SweepRecord, trials: Sequence[TrialRecord] | None = None
) -> list[StageRecord]:
    """Those that its trials wait for, by the store alone. trials: the sweep's, where they have been read."""
    trials = reader.trials(sweep.id) if trials is None else trials
    waiting = {trial.stage for trial in trials if trial.state in UNFINISHED and trial.stage}
    return [stage for stage in reader.stages_behind(map(str, waiting)) if stage.state == "running"]


def pretrains(stages: list[StageRecord]) -> list[Pretrain]:
    return [Pretrain.at(stage.key, stage.folder, stage.steps) for stage in stages]


def _last_step(folder: str) -> int | None:
    """0 where it has trained none yet; None where its folder, which may be an object store's, is not here."""
    try:
        with (Path(folder) / LEDGER).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = [line.split() for line in file.read().splitlines()]
    except FileNotFoundError:
        return 0 if Path(folder).is_dir() else None
    except OSError:
        return None
    whole = [line[1] for line in lines if len(line) == 2 and line[1].isdigit()]
    return int(whole[-1]) if whole else 0
