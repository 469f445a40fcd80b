"""What has a sweep cost, and what has it not had to train, because pretrains are shared and trials end early?

Savings are counted in the trainer's ledgers, a line for each step trained. Without sharing, every trial that
has begun would have trained its own pretrain first. So a stage of P steps from which n trials have branched,
and which took l steps to train (P, and those that a kill had repeated), saves n P - l steps, at the seconds a
step that the stage did cost. A stage that had ended before the sweep was made is paid for: there l is 0.
A stage that goes on from another has the other's steps among its P, and is not charged with them: the other
is, from which nothing may branch."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sweeper.spec.budget import UNITS, Amount
from sweeper.store.queries import Reader
from sweeper.store.records import StageRecord, SweepRecord, TrialRecord

LEDGER = "ledger.txt"


class Savings(NamedTuple):
    steps: int  # not trained, because a pretrain was shared; negative where kills have cost more
    unshared: int  # that would have been trained in all
    cpu_seconds: float
    gpu_seconds: float

    def words(self) -> str:
        """'saved 9,200 of 12,000 steps, 3.1 GPU-hours'."""
        return f"saved {self.steps:,} of {self.unshared:,} steps, {hours(self.cpu_seconds, self.gpu_seconds)}"


def savings(
    reader: Reader, sweep: SweepRecord, trials: Iterable[TrialRecord] | None = None
) -> Savings | None:
    """None where no trial has branched from a stage yet, or sharing has saved nothing.

    trials: the sweep's, where they have been read."""
    trained, by_stage = savings_by_stage(reader, sweep, trials)
    found = by_stage.values()
    saved = sum(each.steps for each in found)
    if saved <= 0:
        return None
    return Savings(
        saved,
        trained + sum(each.unshared for each in found),
        sum(each.cpu_seconds for each in found),
        sum(each.gpu_seconds for each in found),
    )


class Pruned(NamedTuple):
    """By ending trials early."""

    trials: int  # that were ended
    steps: int  # of their fine-tunes that were not trained
    whole: int  # of all trials' fine-tunes, had none been ended early
    cpu_seconds: float
    gpu_seconds: float

    def words(self) -> str:
        """'ended 6 trials early: saved 480 of 1,200 steps, 3.1 GPU-hours'."""
        trials = "1 trial" if self.trials == 1 else f"{self.trials:,} trials"
        saved = f"saved {self.steps:,} of {self.whole:,} steps"
        return f"ended {trials} early: {saved}, {hours(self.cpu_seconds, self.gpu_seconds)}"


def pruned(
    trials: Iterable[TrialRecord], reached: Mapping[int, int], first: Mapping[int, int]
) -> Pruned | None:
    """reached: the last step of each trial that reported one. first: the pretrain's last step, by
    configuration. None where no trial was pruned."""
    found = [trial for trial in trials if trial.repeat_of is None]
    ended, steps, cpu, gpu = 0, 0, 0.0, 0.0
    for trial in found:
        if trial.state == "pruned":
            trained = max(reached.get(trial.id, 0) - first.get(trial.configuration, 0), 1)
            left = max(trial.steps - first.get(trial.configuration, 0) - trained, 0)
            ended, steps = ended + 1, steps + left
            cpu += trial.cpu_seconds * left / trained
            gpu += trial.gpu_seconds * left / trained
    whole = sum(max(trial.steps - first.get(trial.configuration, 0), 0) for trial in found)
    return Pruned(ended, steps, whole, cpu, gpu) if ended else None


def savings_by_stage(
    reader: Reader, sweep: SweepRecord, trials: Iterable[TrialRecord] | None = None
) -> tuple[int, dict[str, Savings]]:
    """(steps that its trials trained themselves, by key of the stages that trials have branched from, and of
    those that these go on from). trials: as in savings."""
    trained, branches, folder = 0, dict[str, int](), f"{sweep.folder}/trials/{sweep.id}"
    there = _names(folder)  # of the others, deleted or on another machine, none is looked for
    for trial in reader.trials(sweep.id) if trials is None else trials:
        if trial.repeat_of is None and str(trial.id) in there:
            steps = _lines(f"{folder}/{trial.id}/{LEDGER}")
            trained += steps
            if trial.stage and steps:
                branches[trial.stage] = branches.get(trial.stage, 0) + 1
    stages = {each.key: each for each in reader.stages_behind(branches)}
    found = {
        key: _of_stage(each, stages.get(each.parent or ""), branches.get(key, 0), sweep.created)
        for key, each in stages.items()
    }
    return trained, found


def _of_stage(stage: StageRecord, parent: StageRecord | None, branches: int, since: float) -> Savings:
    lines = _steps(Path(stage.folder) / LEDGER)
    if not lines:  # its folder was deleted, or lies on another machine
        return Savings(0, 0, 0.0, 0.0)
    unshared = branches * (len(set(lines)) + (parent.steps if parent else 0))
    saved = unshared - (0 if paid_before(stage, since) else len(lines))
    share = saved / len(lines)
    return Savings(saved, unshared, stage.cpu_seconds * share, stage.gpu_seconds * share)


def paid_before(stage: StageRecord, since: float) -> bool:
    """Whether it had ended before a sweep that was made then."""
    return stage.state == "complete" and stage.ended is not None and stage.ended < since


# --- what it has cost ---------------------------------------------------------------------------
class Used(NamedTuple):
    cpu_seconds: float
    gpu_seconds: float

    def words(self) -> str:
        """'3.1 GPU-hours'."""
        return hours(self.cpu_seconds, self.gpu_seconds)


def used(sweep: SweepRecord, trials: Iterable[TrialRecord], stages: Iterable[StageRecord]) -> Used:
    """By its trials, and by those of the pretrains that they branch from which it did not find made."""
    paid = [stage for stage in stages if not paid_before(stage, sweep.created)]
    costs = [(trial.cpu_seconds, trial.gpu_seconds) for trial in trials if trial.repeat_of is None]
    costs += [(stage.cpu_seconds, stage.gpu_seconds) for stage in paid]
    return Used(sum(cpu for cpu, _ in costs), sum(gpu for _, gpu in costs))


def spent(reader: Reader, sweep: int, own: Sequence[TrialRecord]) -> Amount:
    """As its drivers wrote it down. own: its trials, repeats left out."""
    drivers = reader.drivers(sweep)
    return Amount(
        sum(each.seconds for each in drivers),
        sum(each.gpu_seconds for each in drivers),
        sum(trial.attempt > 0 for trial in own),
        sum(each.tokens for each in drivers),
    )


def spent_in_words(reader: Reader, sweep: SweepRecord, trials: Iterable[TrialRecord] | None = None) -> str:
    """'0.52 of 8 hours, 3 of 50 trials'; '' of a sweep without a budget. trials: as in savings."""
    budget = sweep.spec.get("budget") or {}
    if not budget:
        return ""
    trials = reader.trials(sweep.id) if trials is None else trials
    own = [trial for trial in trials if trial.repeat_of is None]
    parts = [
        f"{used / unit:.3g} of {budget[name]:g} {name.replace('_', ' ').replace('gpu', 'GPU')}"
        for (name, unit), used in zip(UNITS.items(), spent(reader, sweep.id, own), strict=True)
        if budget.get(name) is not None
    ]
    return ", ".join(parts)


def hours(cpu_seconds: float, gpu_seconds: float) -> str:
    """'3.1 GPU-hours'; CPU-hours where no GPU was used; minutes where it is less than a tenth of an hour."""
    seconds, unit = (gpu_seconds, "GPU") if gpu_seconds else (cpu_seconds, "CPU")
    if seconds < 360:
        return f"{seconds / 60:.1f} {unit}-minutes"
    return f"{seconds / 3600:,.1f} {unit}-hours"


def _names(folder: str) -> set[str]:
    """Of what lies in it."""
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _lines(ledger: str) -> int:
    """Of a ledger of each trial: no Path is made of ten thousand."""
    try:
        with open(ledger, "rb") as file:
            return file.read().count(b"\n")
    except OSError:
        return 0


def _steps(ledger: Path) -> list[bytes]:
    """The step of every line, in the order trained; none where there is no ledger."""
    try:
        return ledger.read_bytes().split()[1::2]
    except OSError:
        return []
