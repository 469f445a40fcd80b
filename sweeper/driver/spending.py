"""What does a sweep spend, by its jobs' costs: what may begin, and when must all stop?"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from sweeper.driver.budget_guard import BudgetGuard
from sweeper.driver.jobs import Cost, Job, ScoringJob, StageJob, TrialJob
from sweeper.driver.lease import HeldSweep
from sweeper.driver.stop_reason import StopReason
from sweeper.planning.cost_estimates import CostEstimates, Measured
from sweeper.results.savings import LEDGER, spent
from sweeper.spec.budget import NONE, Amount
from sweeper.spec.sections import Budget
from sweeper.store.records import SweepRecord, TrialRecord
from trainer.evaluation.record import Report

WRITE = 5.0  # seconds between two notes of what was spent: a kill of the driver loses no more than that
SPENT = 6  # exit code


class Allowance(NamedTuple):
    """What a driver may spend, and by what it is told beforehand what a job will take of that."""

    budget: Budget | None
    gpu: float = 0.0  # the share of one that a slot has
    measured: Mapping[str, Measured] = MappingProxyType({})  # by shape, of a calibration


class LiveJob(NamedTuple):
    values: Mapping[str, Any]
    phase: str
    steps: int  # that are left to train
    began: float
    tokens_before: int  # of the phase, trained by earlier attempts
    charged: Amount = NONE


class Spending:
    def __init__(
        self, held: HeldSweep, allowance: Allowance, own: Sequence[TrialRecord], clock: Callable[[], float]
    ):
        """own: the sweep's trials, repeats left out. clock: of the seconds that are spent."""
        self._reader, self._writer, self._clock = held.reader, held.writer, clock
        before = spent(held.reader, held.record.id, own)
        self._guard = BudgetGuard(allowance.budget, before, clock)
        self._estimates = CostEstimates(allowance.gpu, allowance.measured)
        self._live: dict[str, LiveJob] = {}
        self._driver = held.writer.add_driver()
        self._written = self._clock()
        if self._guard.capped:
            self._learn(held.record, own)

    def _learn(self, sweep: SweepRecord, own: Sequence[TrialRecord]) -> None:
        values = self._reader.configurations(sweep.id)
        for trial in own:
            whole = trial.state == "complete" and trial.attempt == 1 and trial.started and trial.ended
            if whole and trial.started and trial.ended:
                said = values[trial.configuration]
                self._estimates.learn(said, "finetune", said["finetune.steps"], trial.ended - trial.started)

    # --- before it starts ---------------------------------------------------------------------
    def refuses(self, record: TrialRecord, values: Mapping[str, Any], pretrain: int) -> StopReason | None:
        """Why the trial cannot be afforded, with the pretrain that it needs; None: it can.

        pretrain: steps of it that are not there."""
        if not self._guard.capped:
            return None
        estimate = self._estimates.of(values, "pretrain", pretrain)
        lack = self._guard.lacks(self._of_trial(record, values).plus(estimate))
        return _spent(lack) if lack else None

    def exhausted(self) -> StopReason | None:
        """Why nothing at all can be afforded, however little it takes."""
        lack = self._guard.lacks(NONE)
        return _spent(lack) if lack else None

    def _of_trial(self, record: TrialRecord, values: Mapping[str, Any]) -> Amount:
        left = record.steps - max(values["pretrain.steps"], self._reader.last_step(record.id))
        estimate = self._estimates.of(values, "finetune", left)
        return estimate._replace(trials=0 if record.attempt else 1)

    def begin_trial(self, job: TrialJob, record: TrialRecord) -> None:
        """record: as it was before this attempt."""
        done, tokens = job.values["pretrain.steps"], 0
        if record.attempt:
            done = max(done, self._reader.last_step(job.trial))
            rows = self._reader.curve([job.trial], "tokens", points=1).get(job.trial, [])
            tokens = int(rows[-1][1]) if rows else 0
        else:
            self._guard.begin_trial()
        self._begin(job, "finetune", record.steps - done, tokens)

    def begin_stage(self, job: StageJob) -> None:
        """What an earlier attempt trained, its ledger knows."""
        ledger = Path(job.folder) / LEDGER
        trained = len(set(ledger.read_bytes().split()[1::2])) if ledger.is_file() else 0
        done = job.begun + trained
        each = self._estimates.of(job.values, "pretrain", 1).tokens
        self._begin(job, "pretrain", max(0, job.values["pretrain.steps"] - done), done * each)

    def begin_scoring(self, job: ScoringJob) -> None:
        """It trains nothing; what it takes of a GPU's time is charged as it goes."""
        self._live[job.name] = LiveJob({}, "", 0, self._clock(), 0)
        self._guard.reserve(job.name, NONE)

    def _begin(self, job: TrialJob | StageJob, phase: str, steps: int, tokens_before: int) -> None:
        self._live[job.name] = LiveJob(job.values, phase, steps, self._clock(), tokens_before)
        self._guard.reserve(job.name, self._estimates.of(job.values, phase, steps))

    # --- while it runs, and at its end ----------------------------------------------------------
    def charge(self, job: Job, cost: Cost, reports: Sequence[Report] = ()) -> None:
        live = self._live[job.name]
        said = [int(report.values["tokens"]) for report in reports if "tokens" in report.values]
        tokens = max(live.charged.tokens, *(each - live.tokens_before for each in said), 0)
        so_far = Amount(gpu_seconds=cost.gpu_seconds, tokens=tokens)
        self._live[job.name] = live._replace(charged=so_far)
        self._guard.charge(job.name, so_far)

    def close(self, job: Job, complete: bool) -> None:
        live = self._live.pop(job.name, None)
        if live is None:
            return
        self._guard.release(job.name)
        if complete:
            self._estimates.learn(live.values, live.phase, live.steps, self._clock() - live.began)
        if self._guard.capped:
            self.write()

    @property
    def seconds(self) -> float:
        """Of this driver and those before it, without those in which the sweep was paused."""
        return self._guard.spent.seconds

    def overdrawn(self) -> StopReason | None:
        reached = self._guard.overdrawn()
        return _spent(reached) if reached else None

    def pause(self, paused: bool) -> None:
        self._guard.pause(paused)

    def turn(self) -> None:
        """Now and then."""
        if self._clock() - self._written >= WRITE:
            self.write()

    def write(self) -> None:
        own = self._guard.own
        self._written = self._clock()
        self._writer.spend(self._driver, seconds=own.seconds, gpu_seconds=own.gpu_seconds, tokens=own.tokens)


def _spent(lack: str) -> StopReason:
    return StopReason(lack, SPENT, f" {lack.partition(' ')[0]}=MORE")
