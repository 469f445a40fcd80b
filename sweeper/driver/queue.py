"""Which jobs wait, and which are live? A change of that is stored, charged and said.

What is to change, and when, sweeper/driver/driver.py decides.
"""

from collections.abc import Iterable, Sequence

from sweeper.driver.event_log import EventLog
from sweeper.driver.failures import (
    Again,
    BranchGone,
    BrokenDevice,
    Configuration,
    Ended,
    Lost,
    Silent,
    Stale,
    Unready,
    not_finite,
)
from sweeper.driver.jobs import NOTHING, Cost, Job, ScoringJob, StageJob, TrialJob
from sweeper.driver.lease import HeldSweep
from sweeper.driver.retries import Retries
from sweeper.driver.spending import Spending
from sweeper.driver.stages import Stages
from sweeper.driver.stop_reason import StopReason
from sweeper.driver.trials import Trials
from sweeper.files.remote import within
from sweeper.files.snapshots import has_checkpoint
from sweeper.store.writer import NotItsBest
from trainer.evaluation.record import Evaluation, Report


class JobQueue:
    """waiting: trials to be handed out, in this order where their stages allow it; to_score: what goes before
    them. live: jobs of workers."""

    def __init__(self, held: HeldSweep, trials: Trials, events: EventLog, spending: Spending):
        self._trials, self._events, self._spending = trials, events, spending
        self._writer = held.writer
        self._files = within(held.record.folder, "trials", str(held.record.id))
        self._scored: set[str] = set()  # names of the jobs whose score is in the store, and said
        self.stages = Stages(held, trials.stored)
        self._retries = Retries(held, events)
        self._above: dict[str, int] = {}  # by the job's name: an attempt that the store does not know
        self.waiting: list[int] = []
        self.to_score: list[ScoringJob] = []
        self._live: dict[str, Job] = {}  # by the job's name
        self._costs: dict[str, Cost] = {}
        self.unaffordable: StopReason | None = None  # why the next trial cannot be paid for, for now
        self._sweep, self._said_what_is_left = held.spec.name, False
        self.doomed: list[tuple[int, str]] = []  # trials that wait and cannot be run, and why: to be ended

    def add(self, trials: Iterable[int]) -> None:
        """Behind those that wait."""
        self.waiting += trials

    def resume(self) -> None:
        """What the last driver left unfinished is queued again, and that is said."""
        with self._writer.together():
            self._events.resumed(self._trials.own)
            self.add(self._trials.hand_back_all())

    def of_the_search(self) -> int:
        """How many of those that wait were proposed."""
        return sum(self._trials.entry(trial).record.role == "search" for trial in self.waiting)

    def has(self, job: Job) -> bool:
        return self._live.get(job.name) == job

    def live(self) -> list[Job]:
        return list(self._live.values())

    def busy(self) -> bool:
        """Whether anything waits or is live."""
        return bool(self.waiting or self.to_score or self._live)

    # --- to a worker --------------------------------------------------------------------------
    def hand_out(self) -> Job | None:
        """In order, but past trials whose stage is still running: a waiting trial holds no slot."""
        self.unaffordable = None
        if self.to_score:
            return self._hand_out_scoring()
        entries = map(self._trials.entry, self.waiting)
        self.stages.want({record.stage: values for record, values in entries if record.stage})
        for trial in list(self.waiting):
            record = self._trials.entry(trial).record
            state = self.stages.state(record.stage) if record.stage else "ready"
            if state == "failed":
                self.waiting.remove(trial)
                why = self.stages.errors[str(record.stage)]
                self.doomed.append((trial, f"its pretrain, stage {record.stage}, failed: {why}"))
            elif state != "running":
                return self._hand_out(trial, with_stage=state == "needed")
        return None

    def _hand_out(self, trial: int, with_stage: bool) -> Job | None:
        record, values = self._trials.entry(trial)
        pretrain = self.stages.untrained(str(record.stage), values) if with_stage else 0
        self.unaffordable = self._spending.refuses(record, values, pretrain)
        if self.unaffordable:
            return None
        job = self._start_stage(trial) if with_stage else self._start_trial(trial)
        self._live[job.name] = job
        return job

    def _hand_out_scoring(self) -> Job | None:
        self.unaffordable = self._spending.exhausted()
        if self.unaffordable:
            return None
        job = self._retries.parted(self.to_score.pop(0))
        self._spending.begin_scoring(job)
        self._live[job.name] = job
        return job

    def _start_stage(self, trial: int) -> StageJob:
        record, values_of_trial = self._trials.entry(trial)
        with self._writer.together():
            key, values = self.stages.first(str(record.stage), values_of_trial)
            pieces = self._retries.pieces(key) * values.get("accumulate", 1)
            above = self._above.get(f"pretrain {key}", 0)
            job = self._retries.parted(self.stages.start(key, {**values, "accumulate": pieces}, above))
            self._events.stage_started(job)
        self._spending.begin_stage(job)
        return job

    def _start_trial(self, trial: int) -> TrialJob:
        record = self._trials.entry(trial).record
        self.waiting.remove(trial)
        branch = self.stages.folder(record.stage) if record.stage else None
        pieces = self._retries.pieces(trial) if record.attempt else 1
        above = self._above.get(f"trial {record.called}", 0)
        # Before the transaction: of an object store it is asked over the network.
        goes_on = record.attempt > 0 and has_checkpoint(within(self._files, str(trial)))
        with self._writer.together():
            job = self._trials.start(trial, branch, pieces, above)
            job = self._retries.parted(job) if record.attempt else job
            self._events.trial_started(job, record, goes_on=goes_on)
        self._spending.begin_trial(job, record)
        return job

    # --- from a worker ------------------------------------------------------------------------
    def charge(self, job: Job, cost: Cost, reports: Sequence[Report] = ()) -> None:
        """cost: of the attempt, so far."""
        self._costs[job.name] = cost
        self._spending.charge(job, cost, reports)
        if isinstance(job, StageJob) and reports:
            self._retries.came_further(job)
            self.stages.charge(job, cost, reports[-1].step)
        elif isinstance(job, TrialJob) and self._is_further(job.trial, reports):
            self._retries.came_further(job)

    def _is_further(self, trial: int, reports: Sequence[Report]) -> bool:
        """A report comes when a checkpoint of its step is on disk; the last one comes again at a restart."""
        last, _ = self._trials.last.get(trial, (0, 0.0))
        return any(report.step > last for report in reports)

    def forget(self, job: Job, *, complete: bool = False) -> Cost:
        """It is live no more; what it has cost."""
        self._live.pop(job.name, None)
        self._spending.close(job, complete)
        return self._costs.pop(job.name, NOTHING)

    def keep_scores(self, job: ScoringJob, reports: Sequence[Report], cost: Cost) -> str:
        """'' where all is well; else which score is no number, or of another checkpoint."""
        for report in reports:
            if wrong := not_finite(report):
                return wrong
            try:
                self._keep_score(job, report.evaluations, cost)
            except NotItsBest as error:
                return str(error)
        return ""

    def _keep_score(self, job: ScoringJob, found: Sequence[Evaluation], cost: Cost) -> None:
        with self._writer.together():
            self._writer.add_scores(job.trial, job.round, found, cost.cpu_seconds)
            for each in found:
                if each.split == "valid" and job.name not in self._scored:
                    self._scored.add(job.name)
                    self._events.scored(job, each.nelbo)

    def finish(self, job: StageJob | ScoringJob) -> None:
        if isinstance(job, StageJob):
            cost = self.forget(job, complete=True)
            with self._writer.together():
                self.stages.finish(job, cost)
                self._events.stage_ended(job, "complete")
        elif job.name in self._scored:
            self.forget(job, complete=True)
        else:
            self.fail(job, "it ended without a score")

    def fail(self, job: StageJob | ScoringJob, error: str) -> None:
        cost = self.forget(job)
        if isinstance(job, StageJob):
            with self._writer.together():
                self.stages.fail(job, error, cost)
                self._events.stage_ended(job, "failed", error)
        else:
            self._events.unscored(job, error)

    def hand_back(self, job: Job, state: str = "queued") -> None:
        """state, of a trial: queued, to go on when there is a slot; paused, when someone says so."""
        cost = self.forget(job)
        if isinstance(job, StageJob):
            self.stages.hand_back(job, cost)
            return
        if isinstance(job, ScoringJob):
            self.to_score.insert(0, job)
            return
        with self._writer.together():
            self._trials.hand_back(job.trial, cost, state)
            if state == "paused":
                self._events.paused(job.trial)
        if state == "queued":
            self.waiting.insert(0, job.trial)

    def try_again(self, job: Job, failure: Again) -> Ended | None:
        """None where it is handed back; else what it is then: that has happened too often."""
        if isinstance(job, ScoringJob) and not isinstance(failure, Lost | Silent | Unready | BrokenDevice):
            return Configuration(failure.error)  # it has no state of its own that another try would mend
        times = self._retries.count(job, failure.kind)
        if times >= failure.most:
            return failure.given_up(times + 1)
        self._retries.note(job, failure)
        if isinstance(failure, BranchGone) and isinstance(job, TrialJob):
            self.stages.doubt(self._trials.entry(job.trial).record.stage or "")
        if isinstance(failure, Stale):
            self._above[job.name] = failure.attempt
        with self._writer.together():
            self.hand_back(job)
            self._events.again(job, failure)
        return None

    # --- without one --------------------------------------------------------------------------
    def take_out(self, trial: int) -> None:
        """A queued trial is paused."""
        self.waiting.remove(trial)
        with self._writer.together():
            self._trials.hold(trial, paused=True)
            self._events.paused(trial)

    def put_back(self, trial: int) -> None:
        """A paused trial is queued."""
        self._trials.hold(trial, paused=False)
        self.waiting.insert(0, trial)
        self._said_what_is_left = False

    def only_paused_are_left(self) -> bool:
        """To be asked where nothing waits and nothing is live; it is said once."""
        paused = self._trials.paused()
        if paused and not self._said_what_is_left:
            self._said_what_is_left = True
            self._events.only_paused_left(paused, self._sweep)
        return bool(paused)

    def discard(self, trial: int) -> None:
        """It is not to be handed out."""
        self.waiting = [each for each in self.waiting if each != trial]
