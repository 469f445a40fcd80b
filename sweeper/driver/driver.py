"""The sweep's whole logic, without Ray and without threads: what runs next, and what becomes of it.

The store is the only truth; what is held here is a copy, rebuilt when a Book is opened. Opening the Book
of a sweep that exists is what resuming is. A driver asks `next` for a job, hands every report to `take`,
closes the job by `finish`, `fail` or `lost`, and calls `poll` now and then.
"""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum

from sweeper.driver.circuit_breaker import CODE, Breaker
from sweeper.driver.control_requests import Wishes
from sweeper.driver.control_store import Requests
from sweeper.driver.disk_guard import CODE as DISK_FULL
from sweeper.driver.disk_guard import Room, is_of_disk
from sweeper.driver.event_log import Journal
from sweeper.driver.jobs import NOTHING, Cost, Job, StageJob, TrialJob
from sweeper.driver.lease import LEASE
from sweeper.driver.progress import Progress, Status
from sweeper.driver.queue import Floor
from sweeper.driver.retention import Retention
from sweeper.driver.retries import LOST, MEMORY, SILENT, is_of_memory
from sweeper.driver.spending import Accounts
from sweeper.driver.stop_reason import Ending
from sweeper.driver.trial_source import Agenda
from sweeper.driver.trials import Trials, not_finite
from sweeper.planning.cost_estimates import Measured, Prices
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.store.store import Store
from trainer.evaluation.record import Report

POLL = 0.5  # seconds between two looks at the controls


class End(Enum):
    EXHAUSTED = "nothing is left to do, now or later"


EXHAUSTED = End.EXHAUSTED


class Book:
    def __init__(
        self,
        spec: SweepSpec,
        sweep: SweepRecord,
        store: Store,
        reader: Reader,
        *,
        holder: str,
        progress: Progress,
        slots: int = 1,
        poll_every: float = POLL,
        lease: float = LEASE,
        gpu: float = 0.0,
        measured: Mapping[str, Measured] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """The caller has taken the lease for `holder`; it is renewed for `lease` seconds at a time.

        gpu: a slot's share. measured: by shape, of a calibration. clock: of the time that is spent.
        Raises InvalidConfig for a baseline that cannot be.
        """
        self._spec, self._sweep, self._store, self._reader = spec, sweep, store, reader
        self._holder, self._progress, self._slots, self._poll_every = holder, progress, slots, poll_every
        self._lease = lease
        self._began = self._renewed = self._polled = time.monotonic()
        self._writer = store.writer(sweep.id, holder)
        self._journal = Journal(self._writer, progress)
        self._trials = Trials(sweep, spec.metrics, reader, self._writer)
        prices = Prices(gpu, measured or {})
        self._accounts = Accounts(spec, sweep, reader, self._writer, prices, self._trials.own, clock)
        self._floor = Floor(sweep, reader, self._writer, self._trials, self._journal, self._accounts)
        self._requests = Requests(sweep.id, reader, self._writer, self._journal)
        self._wishes = Wishes(self._requests, self._trials, self._journal)
        self._agenda = Agenda(spec, sweep, reader, self._writer, self._trials, self._journal, self._requests)
        self._retention = Retention(spec, sweep, reader)
        self._room = Room(reader.url, sweep.folder)
        self._breaker = Breaker(slots, "complete" in self._trials.states.values())
        self._held = False  # paused, the whole of it
        self._said_what_is_left = False
        self.ending: Ending | None = None  # why this driver is to stop before the sweep has ended

        self._writer.set_sweep_state("running")
        self._agenda.extend()
        self._requests.forget_old()
        self._journal.resumed(self._trials.own)
        self._floor.queue += self._trials.hand_back_all()
        self._floor.queue += self._agenda.baselines()
        self._wishes.hear(self)

    # --- what runs next -----------------------------------------------------------------------
    def next(self) -> Job | End | None:
        """A job; None: not now, ask again later; EXHAUSTED: never again."""
        floor = self._floor
        while not self._held and self.ending is None:
            floor.queue += self._agenda.replicates()
            job = floor.hand_out()
            while floor.doomed:
                trial, error = floor.doomed.pop()
                self._end(trial, "failed", error)
            if job is not None:
                return job
            if not floor.lacking and self._agenda.may_propose(self._waiting(), self._slots):
                self._propose()
            elif floor.lacking and not floor.live():
                self.stop(floor.lacking)
            elif floor.queue or floor.live() or self._only_paused_are_left():
                return None
            elif not self._confirm() and not self._agenda.extend():
                return EXHAUSTED
        return None

    def over(self) -> bool:
        """Whether `next` would say EXHAUSTED."""
        self._floor.queue += self._agenda.replicates()
        if self._floor.queue or self._floor.live() or self._trials.paused():
            return False
        return self._agenda.search_over is not None and not self._confirm()

    def _waiting(self) -> int:
        return sum(self._trials.entry(trial).record.role == "search" for trial in self._floor.queue)

    def _propose(self) -> None:
        proposed = self._agenda.propose()
        if proposed is None:
            return
        record, error = proposed
        if error:
            self._end(record.id, "failed", error)
        else:
            self._floor.queue.append(record.id)

    def _confirm(self) -> bool:
        added = self._agenda.confirmations()
        self._floor.queue += added
        return bool(added)

    def _only_paused_are_left(self) -> bool:
        paused = self._trials.paused()
        if paused and not self._said_what_is_left:
            self._said_what_is_left = True
            self._journal.only_paused_left(paused, self._spec.name)
        return bool(paused)

    # --- what becomes of it -------------------------------------------------------------------
    def take(self, job: Job, reports: Sequence[Report], cost: Cost = NOTHING, worker: str = "") -> bool:
        """Stores what a job reports, once; false: the job is not to go on. worker: host:pid."""
        if not self._floor.has(job):
            return False
        self._floor.charge(job, cost, reports)
        self._keep_to_the_budget()
        if isinstance(job, StageJob):  # its rows stay in its folder: they are no trial's
            return self._goes_on(job)
        good = list(itertools.takewhile(lambda report: not not_finite(report), reports))
        verdict = self._agenda.early_stopping.judge(self._trials.entry(job.trial).record, good)
        for step, values in self._trials.keep(job, verdict, cost, worker):
            self._progress.rows(job.trial, step, values)
        if verdict.pruned:
            self._end(job.trial, "pruned", reason=verdict.pruned, cost=self._floor.forget(job))
        elif len(good) < len(reports):
            self.fail(job, not_finite(reports[len(good)]))
        return self._goes_on(job)

    def _goes_on(self, job: Job) -> bool:
        """Whether nobody wants otherwise. What runs when the driver ends, `interrupt` hands back."""
        wish = self._wishes.of(job.trial) if isinstance(job, TrialJob) else ""
        if not self._floor.has(job):
            return False
        if isinstance(job, TrialJob) and wish == "stop":
            cost = self._floor.forget(job)
            self._end(job.trial, "stopped", reason="stopped on request", cost=cost)
        elif isinstance(job, TrialJob) and wish == "pause":
            self._floor.hand_back(job, "paused")
            self._wishes.fulfilled(job.trial)
        elif self._held and self.ending is None:
            self._floor.hand_back(job)
        return self.ending is None and self._floor.has(job)

    def finish(self, job: Job, cost: Cost = NOTHING) -> None:
        """It came to its end."""
        if not self._floor.has(job):
            return
        self._floor.charge(job, cost)
        if isinstance(job, StageJob):
            self._floor.finish_stage(job)
            return
        cost = self._floor.forget(job, complete=True)
        if job.trial in self._trials.best:
            self._end(job.trial, "complete", cost=cost)
        else:
            error = f"it ended without a value of {self._spec.metric}"
            self._end(job.trial, "failed", error, cost=cost)

    def fail(self, job: Job, error: str, cost: Cost | None = None) -> None:
        """It cannot be run, and is not tried again; unless memory ran out, and smaller pieces may do."""
        if not self._floor.has(job):
            return
        if cost is not None:
            self._floor.charge(job, cost)
        if is_of_disk(error):
            self._floor.hand_back(job)
            self.stop(Ending(error, DISK_FULL))
        elif not is_of_memory(error) or self._floor.try_again(job, MEMORY):
            self._give_up(job, "failed", error)

    def lost(self, job: Job) -> None:
        """Its worker died."""
        if self._floor.has(job) and (error := self._floor.try_again(job, LOST)):
            self._give_up(job, "lost", error)

    def silent(self, job: Job) -> None:
        """Its worker gave no sign of life, and was ended."""
        if self._floor.has(job) and (error := self._floor.try_again(job, SILENT)):
            self._give_up(job, "lost", error)

    def _give_up(self, job: Job, state: str, error: str) -> None:
        if isinstance(job, StageJob):
            self._floor.fail_stage(job, error)
        else:
            self._end(job.trial, state, error, cost=self._floor.forget(job))

    def _end(
        self, trial: int, state: str, error: str = "", *, reason: str = "", cost: Cost = NOTHING
    ) -> None:
        """It is live no more."""
        record = self._trials.end(trial, state, error=error, reason=reason, cost=cost)
        self._wishes.fulfilled(trial)
        self._retention.due = True
        best = self._trials.best.get(trial)
        self._journal.trial_ended(trial, state, self._spec.metric, best, error or reason)
        self._agenda.tell(record, state)
        if why := self._breaker.saw(state, error):
            self.stop(Ending(why, CODE))

    # --- what others ask ----------------------------------------------------------------------
    def poll(self) -> bool:
        """Renews the lease and reads the controls. False: someone has asked the sweep to stop."""
        now = time.monotonic()
        self._accounts.turn()
        self._keep_to_the_budget()
        if now - self._renewed > self._lease / 3:
            self._writer.renew_lease(self._lease)
            self._renewed = now
        if now - self._polled >= self._poll_every:
            self._polled = now
            self._reader.version()  # raises where the file is gone: SQLite would go on writing to nowhere
            self._agenda.extend()
            self._wishes.hear(self)
            self._retention.look()
            if full := self._room.gone():
                self.stop(full)
            self._progress.status(self.status())
        return self.ending is None

    def stop(self, ending: Ending) -> None:
        """Everything that runs is to save and stop; nothing more is handed out. The first reason counts."""
        self.ending = self.ending or ending

    def _keep_to_the_budget(self) -> None:
        if spent := self._accounts.overdrawn():
            self.stop(spent)

    def hold(self, paused: bool) -> None:
        if paused != self._held:
            self._held = paused
            self._accounts.pause(paused)
            self._writer.set_sweep_state("paused" if paused else "running")
            self._journal.sweep_paused(paused, self._spec.name)

    def drop(self, trial: int) -> None:
        self._floor.discard(trial)
        self._end(trial, "stopped", reason="stopped on request")

    def take_out(self, trial: int) -> None:
        self._floor.take_out(trial)

    def put_back(self, trial: int) -> None:
        self._floor.put_back(trial)
        self._said_what_is_left = False

    def interrupt(self, reason: str) -> None:
        """Everything that runs is handed back; the next driver goes on with it."""
        for job in self._floor.live():
            self._floor.hand_back(job)
        self._accounts.write()
        self._journal.file("interrupt", reason)
        self._writer.set_sweep_state("interrupted", reason)

    def end(self) -> None:
        """To be called once `next` has said EXHAUSTED."""
        self._retention.look_now()
        counts = self.states()
        note = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no trials"
        state = "complete" if counts.get("complete") else "failed"
        self._writer.set_sweep_state(state, self._agenda.search_over or note)
        self._accounts.write()
        self._journal.file("end", f"the sweep has ended: {note}")

    # --- the sweep at a glance ----------------------------------------------------------------
    def states(self) -> dict[str, int]:
        """Trials by state, repeats not counted."""
        return self._trials.counts()

    def status(self) -> Status:
        leader = self._trials.leader()
        return Status(
            self._spec.name,
            self.states(),
            len(self._trials.states) + self._agenda.to_come(),
            self._spec.metric,
            self._trials.best[leader] if leader is not None else None,
            leader,
            self._slots,
            time.monotonic() - self._began,
        )
