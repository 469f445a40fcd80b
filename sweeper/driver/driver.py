"""The sweep's whole logic, without Ray and without threads: what runs next, and what becomes of it.

The store is the only truth; what is held here is a copy, rebuilt when a Driver is made. To make the Driver of
a sweep that exists is what resuming is. Whoever executes asks `next` for a job, hands every report to `take`,
closes the job by `finish`, `fail` or `lost`, and calls `poll` now and then.
"""

import itertools
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from sweeper.driver.control_requests import ControlRequests
from sweeper.driver.event_log import EventLog, Glance, Live
from sweeper.driver.failures import Again, Configuration, Environment, Failure, not_finite
from sweeper.driver.jobs import NOTHING, Cost, Job, ScoringJob, TrialJob
from sweeper.driver.lease import LEASE, HeldSweep
from sweeper.driver.progress import Progress, Status
from sweeper.driver.queue import JobQueue
from sweeper.driver.retries import NOTHING_TO_RANK, CircuitBreaker
from sweeper.driver.spending import Allowance, Spending
from sweeper.driver.stop_reason import StopReason
from sweeper.driver.trial_source import TrialSource
from sweeper.driver.trials import Trials
from sweeper.driver.upkeep import Upkeep
from sweeper.store.clock import MACHINE, Clock
from trainer.evaluation.record import Report
from trainer.metrics import AGAIN

POLL = 0.5  # seconds between two looks at what people ask


class End(Enum):
    EXHAUSTED = "nothing is left to do, now or later"


EXHAUSTED = End.EXHAUSTED


class DriverSettings(NamedTuple):
    """What a driver is run with."""

    slots: int = 1
    lease_seconds: float = LEASE
    poll_seconds: float = POLL
    clock: Clock = MACHINE


class Driver:
    def __init__(
        self, held: HeldSweep, progress: Progress, settings: DriverSettings, allowance: Allowance
    ) -> None:
        """Raises InvalidConfig for a baseline that cannot be."""
        self._held, self._progress, self._slots = held, progress, settings.slots
        self._has_ended, clock = False, settings.clock.steady
        self._trials = Trials(held)
        self.events = EventLog(held.writer, progress, self._trials.called)
        self._spending = Spending(held, allowance, self._trials.own, clock)
        self._glance = Glance(held, self._trials, settings.slots, clock)
        self._queue = JobQueue(held, self._trials, self.events, self._spending)
        self._requests = ControlRequests(held, self._trials, self.events)
        self._source = TrialSource(held, self._trials, self.events, self._requests)
        self._upkeep = Upkeep(held, self.events, settings.lease_seconds, settings.poll_seconds, clock)
        self._breaker = CircuitBreaker(settings.slots, self._trials.ended)
        self._paused = False  # the whole sweep
        self.stop_reason: StopReason | None = None  # why this driver is to stop before the sweep has ended

        held.writer.set_sweep_state("running")
        self._source.extend()
        self._requests.forget_old()
        self._queue.resume()
        self._queue.add(self._source.baselines())
        self._requests.hear(self)

    # --- what runs next -----------------------------------------------------------------------
    def next(self) -> Job | End | None:
        """A job; None: not now, ask again later; EXHAUSTED: never again."""
        queue = self._queue
        while not self._paused and self.stop_reason is None:
            self._add_what_follows()
            job = queue.hand_out()
            while queue.doomed:
                trial, error = queue.doomed.pop()
                self._end(trial, "failed", error)
            if job is not None:
                return job
            if not queue.unaffordable and self._source.may_propose(queue.of_the_search(), self._slots):
                self._propose()
            elif queue.unaffordable and not queue.live():
                self.stop(queue.unaffordable)
            elif queue.busy() or queue.only_paused_are_left():
                return None
            elif not self._settle() and not self._source.extend():
                return EXHAUSTED
        return None

    def over(self) -> bool:
        """Whether `next` would say EXHAUSTED."""
        self._add_what_follows()
        if self._queue.busy() or self._trials.paused():
            return False
        return self._source.search_over is not None and not self._settle()

    def _add_what_follows(self) -> None:
        """From what is complete by now."""
        self._queue.add(self._source.replicates())
        self._queue.to_score += self._source.scorings()

    def _propose(self) -> None:
        if (asked := self._source.ask()) is None:
            return
        with self._held.writer.together():
            record, error = self._source.add(asked)
            if error:
                self._end(record.id, "failed", error)
            elif record.repeat_of is None:
                self._queue.add([record.id])

    def _settle(self) -> bool:
        """Whether there is something to do once the search has ended: to confirm, to race."""
        self._queue.add(self._source.confirmations() or self._source.race())
        self._add_what_follows()
        return self._queue.busy()

    # --- what becomes of it -------------------------------------------------------------------
    def take(self, job: Job, reports: Sequence[Report], cost: Cost = NOTHING, worker: str = "") -> bool:
        """Stores what a job reports, once; false: the job is not to go on. worker: host:pid."""
        if not self._queue.has(job):
            return False
        self._queue.charge(job, cost, reports)
        self._keep_to_the_budget()
        if not isinstance(job, TrialJob):
            if isinstance(job, ScoringJob) and (wrong := self._queue.keep_scores(job, reports, cost)):
                self.fail(job, Configuration(wrong))
            return self._goes_on(job)  # a stage's rows stay in its folder: they are no trial's
        good = list(itertools.takewhile(lambda report: not not_finite(report), reports))
        verdict = self._source.early_stopping.judge(self._trials.entry(job.trial).record, good)
        for step, values in self._trials.keep(job, verdict, cost, worker):
            self._progress.rows(self._trials.called(job.trial), step, values)
        if verdict.pruned:
            self._end(job.trial, "pruned", reason=verdict.pruned, cost=self._queue.forget(job))
        elif len(good) < len(reports):
            self.fail(job, Configuration(not_finite(reports[len(good)])))
        return self._goes_on(job)

    def _goes_on(self, job: Job) -> bool:
        """Whether nobody asks otherwise. What runs when the driver ends, `interrupt` hands back."""
        asked = self._requests.of(job.trial) if isinstance(job, TrialJob) else ""
        if not self._queue.has(job):
            return False
        if isinstance(job, TrialJob) and asked == "stop":
            self._end(job.trial, "stopped", reason="stopped on request", cost=self._queue.forget(job))
        elif isinstance(job, TrialJob) and asked == "pause":
            with self._held.writer.together():
                self._queue.hand_back(job, "paused")
                self._requests.fulfilled(job.trial)
        elif self._paused and self.stop_reason is None:
            self._queue.hand_back(job)
        return self.stop_reason is None and self._queue.has(job)

    def finish(self, job: Job, cost: Cost = NOTHING) -> None:
        """It came to its end."""
        if not self._queue.has(job):
            return
        self._queue.charge(job, cost)
        if not isinstance(job, TrialJob):
            self._queue.finish(job)
            return
        cost = self._queue.forget(job, complete=True)
        if job.trial in self._trials.best:
            self._end(job.trial, "complete", cost=cost)
        else:
            self._end(job.trial, "failed", f"it ended without a value of {self._held.spec.metric}", cost=cost)

    def fail(self, job: Job, failure: Failure, cost: Cost | None = None) -> None:
        """What becomes of it, its class says (sweeper/driver/failures.py)."""
        if not self._queue.has(job):
            return
        if cost is not None:
            self._queue.charge(job, cost)
        ended = self._queue.try_again(job, failure) if isinstance(failure, Again) else failure
        if isinstance(ended, Environment):
            self._queue.hand_back(job)
            self.stop(StopReason(ended.error, ended.code))
        elif ended is not None:
            self._give_up(job, ended.state, ended.error)

    def _give_up(self, job: Job, state: str, error: str) -> None:
        if isinstance(job, TrialJob):
            self._end(job.trial, state, error, cost=self._queue.forget(job))
        else:
            self._queue.fail(job, error)

    def _end(
        self, trial: int, state: str, error: str = "", *, reason: str = "", cost: Cost = NOTHING
    ) -> None:
        """It is live no more."""
        best, metric = self._trials.best.get(trial), self._held.spec.metric
        ranked = self._trials.reported(trial, AGAIN[metric]) if metric in AGAIN else None
        said = (trial, state, metric, best, ranked, error or reason)
        if why := self._breaker.saw(trial, state, error):
            self.stop(StopReason(why, NOTHING_TO_RANK))
        with self._held.writer.together():
            if why and self._trials.entry(trial).record.steps:  # what is no run at all has failed for good
                self.events.trial_ended(*said)
                self._trials.hand_back_alike(self._breaker.tripped_by, cost, why)
                self.events.handed_back(trial, why)
                return
            record = self._trials.end(trial, state, error=error, reason=reason, cost=cost)
            self._requests.fulfilled(trial)
            self.events.trial_ended(*said)
            self._source.tell(record, state)
        self._upkeep.retention.due = True

    # --- what others ask ----------------------------------------------------------------------
    def poll(self) -> bool:
        """Renews the lease and hears what people ask. False: everything is to save and stop."""
        self._spending.turn()
        self._keep_to_the_budget()
        self._upkeep.renew_lease()
        if self._upkeep.is_due():
            self._held.reader.version()  # raises where the file is gone: SQLite would write on to nowhere
            self._hear()
            if full := self._upkeep.look():
                self.stop(full)
            self._progress.status(self.status())
        return self.stop_reason is None

    def _hear(self) -> None:
        self._source.extend()
        self._requests.hear(self)

    def stop(self, reason: StopReason) -> None:
        """Everything that runs is to save and stop; nothing more is handed out. The first reason counts."""
        self.stop_reason = self.stop_reason or reason

    def _keep_to_the_budget(self) -> None:
        if spent := self._spending.overdrawn():
            self.stop(spent)

    def hold(self, paused: bool) -> None:
        if paused != self._paused:
            self._paused = paused
            self._spending.pause(paused)
            self.events.sweep_paused(paused, self._held.spec.name)

    def drop(self, trial: int) -> None:
        self._queue.discard(trial)
        self._end(trial, "stopped", reason="stopped on request")

    def take_out(self, trial: int) -> None:
        self._queue.take_out(trial)

    def put_back(self, trial: int) -> None:
        self._queue.put_back(trial)

    def run_again(self, trials: Sequence[int]) -> None:
        self._trials.look_again(trials)
        for trial in trials:
            self._queue.stages.look_again(self._trials.entry(trial).record.stage or "")
        self._source.look_again()
        self._queue.add(trials)

    def interrupt(self, reason: str) -> None:
        """Everything that runs is handed back; the next driver goes on with it."""
        for job in self._queue.live():
            self._queue.hand_back(job)
        self._spending.write()
        with self._held.writer.together():
            self.events.record("interrupt", reason)
            self._held.writer.set_sweep_state("interrupted", reason)
            self._held.writer.give_up_lease()

    def end(self) -> bool:
        """Ends the sweep and gives up its lease, where nothing is left to do. False: something is; nothing
        was written.

        Whoever asks for more does so before this is committed, and it is done; or asks no driver any more.
        """
        while self.over():
            self._upkeep.retention.look_now()
            self._spending.write()
            with self._held.writer.together():
                if not self._requests.want_more():
                    self.events.sweep_ended(self.states(), self._source.search_over)
                    self._held.writer.give_up_lease()
                    self._has_ended = True
                    return True
            self._hear()
        return False

    # --- the sweep at a glance ----------------------------------------------------------------
    def states(self) -> dict[str, int]:
        """Trials by state, repeats not counted."""
        return self._trials.counts()

    def status(self) -> Status:
        source, live = self._source, Live(self._queue.live(), self._queue.stages.steps)
        seconds = self._spending.seconds
        return self._glance.status(source.planned, source.proposed, seconds, live, self._has_ended)
