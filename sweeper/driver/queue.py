"""What is queued and what is live, and every change of that: in the store, in the accounts, and said.

What is to change, and when, sweeper/driver/driver.py decides.
"""

from collections.abc import Sequence

from sweeper.driver.event_log import Journal
from sweeper.driver.jobs import NOTHING, Cost, Job, StageJob, TrialJob
from sweeper.driver.retries import Failure, Retries
from sweeper.driver.spending import Accounts
from sweeper.driver.stages import Stages
from sweeper.driver.stop_reason import Ending
from sweeper.driver.trials import Trials
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.store.store import Writer
from trainer.evaluation.record import Report


class Floor:
    """queue: trials to be handed out, in this order where their stages allow it. live: what workers have."""

    def __init__(
        self,
        sweep: SweepRecord,
        reader: Reader,
        writer: Writer,
        trials: Trials,
        journal: Journal,
        accounts: Accounts,
    ):
        self._trials, self._journal, self._accounts = trials, journal, accounts
        self.stages = Stages(reader, writer, sweep.folder, trials.stored)
        self._retries = Retries(sweep.id, reader)
        self.queue: list[int] = []
        self._live: dict[str, Job] = {}  # by the job's name
        self._costs: dict[str, Cost] = {}
        self.lacking: Ending | None = None  # why the next trial cannot be afforded, for now
        self.doomed: list[tuple[int, str]] = []  # queued trials that cannot be run, and why: to be ended

    def has(self, job: Job) -> bool:
        return self._live.get(job.name) == job

    def live(self) -> list[Job]:
        return list(self._live.values())

    # --- to a worker --------------------------------------------------------------------------
    def hand_out(self) -> Job | None:
        """In order, but past trials whose stage is still running: a waiting trial holds no slot."""
        self.lacking = None
        for trial in list(self.queue):
            record = self._trials.entry(trial).record
            state = self.stages.state(record.stage) if record.stage else "ready"
            if state == "failed":
                self.queue.remove(trial)
                why = self.stages.errors[str(record.stage)]
                self.doomed.append((trial, f"its pretrain, stage {record.stage}, failed: {why}"))
            elif state != "running":
                return self._hand_out(trial, with_stage=state == "needed")
        return None

    def _hand_out(self, trial: int, with_stage: bool) -> Job | None:
        record, values = self._trials.entry(trial)
        self.lacking = self._accounts.refuses(record, values, with_stage)
        if self.lacking:
            return None
        job = self._start_stage(trial) if with_stage else self._start_trial(trial)
        self._live[job.name] = job
        return job

    def _start_stage(self, trial: int) -> StageJob:
        record, values = self._trials.entry(trial)
        key = str(record.stage)
        pieces = self._retries.pieces(key) * values.get("accumulate", 1)
        job = self.stages.start(key, {**values, "accumulate": pieces})
        self._accounts.begin_stage(job)
        self._journal.stage_started(job)
        return job

    def _start_trial(self, trial: int) -> TrialJob:
        record = self._trials.entry(trial).record
        self.queue.remove(trial)
        branch = self.stages.folder(record.stage) if record.stage else None
        job = self._trials.start(trial, branch, self._retries.pieces(trial) if record.attempt else 1)
        self._accounts.begin_trial(job, record)
        self._journal.trial_started(job, record)
        return job

    # --- from a worker ------------------------------------------------------------------------
    def charge(self, job: Job, cost: Cost, reports: Sequence[Report] = ()) -> None:
        """cost: of the attempt, so far."""
        self._costs[job.name] = cost
        self._accounts.charge(job, cost, reports)
        if isinstance(job, StageJob) and reports:
            self.stages.charge(job, cost)

    def forget(self, job: Job, *, complete: bool = False) -> Cost:
        """It is live no more; what it has cost."""
        self._live.pop(job.name, None)
        self._accounts.close(job, complete)
        return self._costs.pop(job.name, NOTHING)

    def finish_stage(self, job: StageJob) -> None:
        self.stages.finish(job, self.forget(job, complete=True))
        self._journal.stage_ended(job, "complete")

    def fail_stage(self, job: StageJob, error: str) -> None:
        self.stages.fail(job, error, self.forget(job))
        self._journal.stage_ended(job, "failed", error)

    def hand_back(self, job: Job, state: str = "queued") -> None:
        """state, of a trial: queued, to go on when there is a slot; paused, when someone says so."""
        cost = self.forget(job)
        if isinstance(job, StageJob):
            self.stages.hand_back(job, cost)
            return
        self._trials.hand_back(job.trial, cost, state)
        if state == "queued":
            self.queue.insert(0, job.trial)
        else:
            self._journal.paused(job.trial)

    def try_again(self, job: Job, failure: Failure) -> str:
        """'' where it is handed back; else why not: that has happened too often."""
        times = self._retries.count(job, failure)
        if times >= failure.most:
            return failure.often.format(times + 1)
        self._retries.note(job, failure)
        self.hand_back(job)
        self._journal.again(job, failure.kind, failure.said(job))
        return ""

    # --- without one --------------------------------------------------------------------------
    def take_out(self, trial: int) -> None:
        """A queued trial is paused."""
        self.queue.remove(trial)
        self._trials.hold(trial, paused=True)
        self._journal.paused(trial)

    def put_back(self, trial: int) -> None:
        """A paused trial is queued."""
        self._trials.hold(trial, paused=False)
        self.queue.insert(0, trial)

    def discard(self, trial: int) -> None:
        """It is not to be handed out."""
        self.queue = [each for each in self.queue if each != trial]
