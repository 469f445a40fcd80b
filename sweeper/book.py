"""The sweep's whole logic, without Ray and without threads: what runs next, and what becomes of it.

The store is the only truth; what is held here is a copy, rebuilt when a Book is opened. Opening the Book
of a sweep that exists is what resuming is. A driver asks `next` for a job, hands every report to `take`,
closes the job by `finish`, `fail` or `lost`, and calls `poll` now and then.
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from sweeper.confirmation import Confirmation
from sweeper.early_stopping import early_stopping
from sweeper.jobs import NOTHING, Cost, Job, StageJob, TrialJob
from sweeper.journal import Journal
from sweeper.progress import Progress, Status
from sweeper.replication import Replication
from sweeper.requests import Requests
from sweeper.search import Search
from sweeper.spec import SweepSpec
from sweeper.stages import MOST_LOSSES, Stages
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.store.store import Store
from sweeper.trials import Trials, not_finite
from sweeper.warm_start import warm_start
from trainer.evaluation.record import Report

LEASE = 60.0  # seconds; renewed three times in that time
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
    ):
        """The caller has taken the lease for `holder`. Raises InvalidConfig for a baseline that cannot be."""
        self._spec, self._sweep, self._store, self._reader = spec, sweep, store, reader
        self._holder, self._progress, self._slots, self._poll_every = holder, progress, slots, poll_every
        self._began = self._renewed = self._polled = time.monotonic()
        self._writer = store.writer(sweep.id, holder)
        self._journal = Journal(self._writer, progress)
        self._requests = Requests(sweep.id, reader, self._writer, self._journal)
        self._trials = Trials(sweep, spec.metrics, reader, self._writer)
        self._stages = Stages(reader, self._writer, Path(sweep.folder), self._trials.stored)
        foreign = warm_start(spec, sweep, reader, self._writer, self._journal)
        self._search = Search(spec, self._trials, self._writer, foreign)
        self._early_stopping = early_stopping(spec, sweep, self._trials.stored, reader)
        self._replication = Replication(spec, self._trials)
        self._confirmation = Confirmation(spec, sweep, reader, self._trials)
        self._search_over = self._stopping = False
        self._unwanted: set[int] = set()  # live trials that someone asked to stop
        self._live: dict[int | str, Job] = {}  # by trial, or stage key
        self._costs: dict[int | str, Cost] = {}

        self._writer.set_sweep_state("running")
        self._extend()
        self._requests.forget_stops()
        self._journal.resumed(self._trials.own)
        # Trials to be handed out, in this order where their stages allow it.
        self._queue = self._trials.hand_back_all()
        self._search.settle()
        self._queue += self._replication.baselines()

    # --- what runs next -----------------------------------------------------------------------
    def next(self) -> Job | End | None:
        """A job; None: not now, ask again when something has ended; EXHAUSTED: never again."""
        while True:
            self._queue += self._replication.due()
            job = self._from_queue()
            if job is not None:
                self._live[_key(job)] = job
                return job
            if self._may_propose():
                self._propose()
            elif self._queue or self._live:
                return None
            elif not self._confirm() and not self._extend():
                return EXHAUSTED

    def over(self) -> bool:
        """Whether `next` would say EXHAUSTED."""
        self._queue += self._replication.due()
        at_work = self._queue or self._live or self._search.over() is None
        return not at_work and not self._confirm()

    def _from_queue(self) -> Job | None:
        """In order, but past trials whose stage is still running: a waiting trial holds no slot."""
        for trial in list(self._queue):
            record, values = self._trials.entry(trial)
            state = self._stages.state(record.stage) if record.stage else "ready"
            if state == "needed":
                return self._start_stage(str(record.stage), values)
            if state == "failed":
                self._queue.remove(trial)
                text = f"its pretrain, stage {record.stage}, failed: {self._stages.errors[str(record.stage)]}"
                self._end(trial, "failed", error=text)
            if state == "ready":
                self._queue.remove(trial)
                return self._start(trial)
        return None

    def _start_stage(self, key: str, values: Mapping[str, Any]) -> StageJob:
        job = self._stages.start(key, values)
        self._journal.stage_started(job)
        return job

    def _start(self, trial: int) -> TrialJob:
        record = self._trials.entry(trial).record
        job = self._trials.start(trial, self._stages.folder(record.stage) if record.stage else None)
        self._journal.trial_started(job, record)
        return job

    def _may_propose(self) -> bool:
        if self._search_over:
            return False
        why = self._search.over()
        if why is None:
            proposed = sum(self._trials.entry(trial).record.role == "search" for trial in self._queue)
            return proposed < self._search.most_waiting(self._slots)
        self._search_over = True
        if why:
            self._journal.note("search", why)
        return False

    def _propose(self) -> None:
        proposed = self._search.propose()
        if proposed is None:
            return
        record, error = proposed
        self._replication.want(record)
        values = {} if record.repeat_of else self._trials.entry(record.id).values
        self._early_stopping.add(record, values)
        if record.repeat_of is not None:
            self._journal.file(
                "repeat", f"proposal {record.number} repeats trial {record.repeat_of}", record.id
            )
        elif error:
            self._end(record.id, "failed", error=error)
        else:
            self._queue.append(record.id)

    def _confirm(self) -> bool:
        """Once the search and its replicates have ended: whether there are trials to confirm its best."""
        added = self._confirmation.due()
        if added:
            self._journal.note(
                "confirm", f"the search has ended; {len(added)} runs confirm its best on new seeds"
            )
        self._queue += added
        return bool(added)

    # --- what becomes of it -------------------------------------------------------------------
    def take(self, job: Job, reports: Sequence[Report], cost: Cost = NOTHING, worker: str = "") -> bool:
        """Stores what a job reports, once; false: the job is not to go on. worker: host:pid."""
        if self._live.get(_key(job)) != job:
            return False
        self._costs[_key(job)] = cost
        if isinstance(job, StageJob):  # its rows stay in its folder: they are no trial's
            if reports:
                self._stages.charge(job, cost)
            return not self._stopping
        good = list(itertools.takewhile(lambda report: not not_finite(report), reports))
        verdict = self._early_stopping.judge(self._trials.entry(job.trial).record, good)
        for step, values in self._trials.keep(job, verdict, cost, worker):
            self._progress.rows(job.trial, step, values)
        if verdict.pruned:
            self._end(job.trial, "pruned", reason=verdict.pruned)
            return False
        if len(good) < len(reports):
            self.fail(job, not_finite(reports[len(good)]))
            return False
        if job.trial in self._unwanted:
            self._end(job.trial, "stopped", reason="stopped on request")
            return False
        return not self._stopping

    def finish(self, job: Job, cost: Cost = NOTHING) -> None:
        """It came to its end."""
        if self._live.get(_key(job)) != job:
            return
        self._costs[_key(job)] = cost
        if isinstance(job, StageJob):
            self._stages.finish(job, self._forget(job))
            self._journal.stage_ended(job, "complete")
        elif job.trial in self._trials.best:
            self._end(job.trial, "complete")
        else:
            self._end(job.trial, "failed", error=f"it ended without a value of {self._spec.metric}")

    def fail(self, job: Job, error: str, cost: Cost | None = None) -> None:
        """It cannot be run; it is not tried again."""
        if self._live.get(_key(job)) != job:
            return
        if cost is not None:
            self._costs[_key(job)] = cost
        if isinstance(job, StageJob):
            self._stages.fail(job, error, self._forget(job))
            self._journal.stage_ended(job, "failed", error)
        else:
            self._end(job.trial, "failed", error=error)

    def lost(self, job: Job) -> None:
        """Its worker died: queued again, first in line, unless that has happened too often."""
        if self._live.get(_key(job)) != job:
            return
        text = f"the worker of {job.name} died; it goes on from its last checkpoint"
        if isinstance(job, StageJob):
            if self._stages.lose(job, self._forget(job)):
                self._journal.ended(None, "queued", text)
            else:
                self._journal.stage_ended(job, "failed", self._stages.errors[job.key])
            return
        losses = 1 + sum(event.kind == "lost" for event in self._reader.events(self._sweep.id, job.trial))
        if losses > MOST_LOSSES:
            self._end(job.trial, "lost", error=f"its worker died {losses} times")
            return
        self._trials.hand_back(job.trial, self._forget(job))
        self._queue.insert(0, job.trial)
        self._journal.ended(job.trial, "queued", text)

    def _end(self, trial: int, state: str, *, error: str = "", reason: str = "") -> None:
        self._unwanted.discard(trial)
        self._live.pop(trial, None)
        cost = self._costs.pop(trial, NOTHING)
        record = self._trials.end(trial, state, error=error, reason=reason, cost=cost)
        best = self._trials.best.get(trial)
        self._journal.trial_ended(trial, state, self._spec.metric, best, error or reason)
        self._early_stopping.end(record, state)
        self._search.tell(record)

    def _forget(self, job: Job) -> Cost:
        self._live.pop(_key(job), None)
        return self._costs.pop(_key(job), NOTHING)

    # --- what others ask ----------------------------------------------------------------------
    def poll(self) -> bool:
        """Renews the lease and reads the controls. False: someone has asked the sweep to stop."""
        now = time.monotonic()
        if now - self._renewed > LEASE / 3:
            self._store.take_lease(self._sweep.id, self._holder, LEASE)
            self._renewed = now
        if now - self._polled >= self._poll_every:
            self._polled = now
            self._reader.version()  # raises where the file is gone: SQLite would go on writing to nowhere
            self._extend()
            for trial in self._requests.stops():
                if trial is None:
                    self._stopping = True
                else:
                    self._stop_trial(trial)
            self._progress.status(self.status())
        return not self._stopping

    def _extend(self) -> bool:
        """Whether someone has asked that the search try more, and it may."""
        before = self._search.target
        self._spec = self._requests.extended(self._spec)
        self._search.target = self._spec.search.trials
        self._search_over = self._search_over and self._search.target == before
        return self._search.target > before

    def _stop_trial(self, trial: int) -> None:
        if trial in self._live:
            self._unwanted.add(trial)  # take() stops it at its next report
        elif trial in self._queue:
            self._queue.remove(trial)
            self._end(trial, "stopped", reason="stopped on request")

    def interrupt(self, reason: str) -> None:
        """Everything that runs is handed back; the next driver goes on with it."""
        for job in list(self._live.values()):
            cost = self._forget(job)
            if isinstance(job, StageJob):
                self._stages.hand_back(job, cost)
            else:
                self._trials.hand_back(job.trial, cost)
        self._journal.file("interrupt", reason)
        self._writer.set_sweep_state("interrupted", reason)

    def end(self) -> None:
        """To be called once `next` has said EXHAUSTED."""
        counts = self.states()
        note = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no trials"
        state = "complete" if counts.get("complete") else "failed"
        self._writer.set_sweep_state(state, self._search.over() or note)
        self._journal.file("end", f"the sweep has ended: {note}")

    # --- the sweep at a glance ----------------------------------------------------------------
    def states(self) -> dict[str, int]:
        """Trials by state, repeats not counted."""
        return self._trials.counts()

    def status(self) -> Status:
        to_come, confirm = 0, self._spec.confirm
        if self._search.over() is None:
            to_come = (self._search.target - self._search.count) * self._spec.replicates
            to_come += confirm.top * confirm.seeds if confirm else 0
        leader = self._trials.leader()
        return Status(
            self._spec.name,
            self.states(),
            len(self._trials.states) + to_come,
            self._spec.metric,
            self._trials.best[leader] if leader is not None else None,
            leader,
            self._slots,
            time.monotonic() - self._began,
        )


def _key(job: Job) -> int | str:
    return job.key if isinstance(job, StageJob) else job.trial
