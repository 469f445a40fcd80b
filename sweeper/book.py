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

from sweeper.jobs import NOTHING, Cost, Job, StageJob, TrialJob
from sweeper.journal import Journal
from sweeper.progress import Progress, Status
from sweeper.proposals import UNFINISHED, Proposal
from sweeper.search import Search
from sweeper.spec import SweepSpec
from sweeper.stages import MOST_LOSSES, Stages
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.store.store import Store
from sweeper.trials import Trials, not_finite
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
        self._trials = Trials(sweep, spec.metric, reader, self._writer)
        self._stages = Stages(reader, self._writer, Path(sweep.folder), self._trials.stored)
        self._search = Search(spec, self._trials, self._writer)
        self._search_over = self._stopping = False
        self._unwanted: set[int] = set()  # live trials that someone asked to stop
        self._live: dict[int | str, Job] = {}  # by trial, or stage key
        self._costs: dict[int | str, Cost] = {}

        self._writer.set_sweep_state("running")
        for control in reader.controls(sweep.id):
            if control.trial is None:  # to a driver that is gone: whoever starts a sweep wants it to run
                self._writer.finish_control(control.id)
        self._say_resumed()
        # Trials to be handed out, in this order where their stages allow it.
        self._queue = self._trials.hand_back_all()
        self._search.settle()
        self._add_baselines()

    def _say_resumed(self) -> None:
        own = self._trials.own
        if not own:
            return
        cut_off = [str(trial.id) for trial in own if trial.state == "running"]
        if cut_off:
            self._journal.file("kill", f"the last driver went away while trial {', '.join(cut_off)} ran")
        ended = sum(trial.state not in UNFINISHED for trial in own)
        self._journal.note("resume", f"resumed: {ended} trials have ended, {len(own) - ended} go on")

    def _add_baselines(self) -> None:
        have = {(t.configuration, t.seed) for t in self._trials.own if t.role == "baseline"}
        for seed in self._spec.always_seed_values:
            for params in self._spec.always:
                config = self._spec.train_config(params, seed)
                configuration = self._trials.configuration(config)
                if (configuration, seed) not in have:
                    have.add((configuration, seed))
                    outside = Proposal(None, dict(params), {}, {})
                    self._queue.append(self._trials.add(config, "baseline", outside).id)

    # --- what runs next -----------------------------------------------------------------------
    def next(self) -> Job | End | None:
        """A job; None: not now, ask again when something has ended; EXHAUSTED: never again."""
        while True:
            job = self._from_queue()
            if job is not None:
                self._live[_key(job)] = job
                return job
            if not self._may_propose():
                return None if self._queue or self._live else EXHAUSTED
            self._propose()

    def over(self) -> bool:
        """Whether `next` would say EXHAUSTED."""
        return not self._queue and not self._live and self._search.over() is not None

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
        steps = values["pretrain.steps"]
        self._journal.started(None, f"{job.name} started: attempt {job.attempt}, {steps} steps")
        return job

    def _start(self, trial: int) -> TrialJob:
        record = self._trials.entry(trial).record
        job = self._trials.start(trial, self._stages.folder(record.stage) if record.stage else None)
        what = ", ".join(f"{name}={_short(value)}" for name, value in record.params.items()) or "defaults"
        text = f"trial {trial} started ({record.role}, seed {record.seed}): {what}"
        if job.attempt > 1:
            text = f"trial {trial} goes on from its last checkpoint: attempt {job.attempt}"
        self._journal.started(trial, text)
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
        record, error = self._search.propose()
        if record.repeat_of is not None:
            self._journal.file(
                "repeat", f"proposal {record.number} repeats trial {record.repeat_of}", record.id
            )
        elif error:
            self._end(record.id, "failed", error=error)
        else:
            self._queue.append(record.id)

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
        for step, values in self._trials.keep(job, good, cost, worker):
            self._progress.rows(job.trial, step, values)
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
            self._journal.ended(None, "complete", f"{job.name} complete")
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
            self._say_stage_failed(job, error)
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
                self._say_stage_failed(job, self._stages.errors[job.key])
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
        value = f", {self._spec.metric} {best:.6g}" if best is not None else ""
        why = f": {_last_line(error or reason)}" if error or reason else ""
        self._journal.ended(trial, state, f"trial {trial} {state}{value}{why}")
        self._search.tell(record)

    def _say_stage_failed(self, job: StageJob, error: str) -> None:
        self._journal.ended(None, "failed", f"{job.name} failed: {_last_line(error)}")

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
            for control in self._reader.controls(self._sweep.id):
                self._writer.finish_control(control.id)
                if control.trial is None:
                    self._stopping = True
                    self._journal.file("control", "asked to stop the sweep")
                else:
                    self._stop_trial(control.trial)
            self._progress.status(self.status())
        return not self._stopping

    def _stop_trial(self, trial: int) -> None:
        self._journal.file("control", f"asked to stop trial {trial}", trial)
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
        to_come = self._spec.search.trials - self._search.count if self._search.over() is None else 0
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


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
