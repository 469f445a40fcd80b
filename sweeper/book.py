"""The sweep's whole logic, without Ray and without threads: what runs next, and what becomes of it.

The store is the only truth; what is held here is a copy, rebuilt when a Book is opened. Opening the Book
of a sweep that exists is what resuming is. A driver asks `next` for a job, hands every report to `take`,
closes the job by `finish`, `fail` or `lost`, and calls `poll` now and then.
"""

import itertools
import math
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.jobs import NOTHING, Cost, Job, StageJob, TrialJob
from sweeper.progress import Progress, Status
from sweeper.proposals import UNFINISHED, Proposal, Proposals
from sweeper.spec import SweepSpec
from sweeper.stages import MOST_LOSSES, Stages
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow, SweepRecord, TrialRecord
from sweeper.store.store import Store
from trainer.config import InvalidConfig, TrainConfig, content_hash
from trainer.evaluation.record import Report
from trainer.metrics import BY_NAME

LEASE = 60.0  # seconds; renewed three times in that time
POLL = 0.5  # seconds between two looks at the controls
MOST_REPEATS = 200  # proposals in a row that were made before: the space is as good as exhausted


class End(Enum):
    EXHAUSTED = "nothing is left to do, now or later"


EXHAUSTED = End.EXHAUSTED


class _Entry(NamedTuple):
    """A trial that has not ended."""

    record: TrialRecord
    values: dict[str, Any]  # dotted and complete, the seed included


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
        self._writer = store.writer(sweep.id, holder)
        self._began = time.monotonic()
        self._renewed = self._polled = self._began
        self._direction = {"min": 1.0, "max": -1.0}[BY_NAME[spec.metric].direction]
        self._size = spec.space.size() if spec.dimensions else 0
        self._search_over = self._stopping = False
        self._unwanted: set[int] = set()  # live trials that someone asked to stop
        self._live: dict[int | str, Job] = {}  # by trial, or stage key
        self._costs: dict[int | str, Cost] = {}
        self._entries: dict[int, _Entry] = {}
        self._queue: list[int] = []  # trials to be handed out, in this order where their stages allow it
        self._open()

    # --- opening ------------------------------------------------------------------------------
    def _open(self) -> None:
        trials = self._reader.trials(self._sweep.id)
        values = self._reader.configurations(self._sweep.id)
        hashes = {id: hash for hash, id in self._reader.configuration_hashes(self._sweep.id).items()}
        self._best = {
            row.trial: row.best
            for row in self._reader.latest(self._sweep.id)
            if row.name == self._spec.metric
        }
        self._stages = Stages(self._reader, self._writer, Path(self._sweep.folder), trials)
        self._states = {trial.id: trial.state for trial in trials if trial.repeat_of is None}
        # The trial that stands for a configuration at a seed: later equal proposals repeat it.
        self._known = {
            (hashes[t.configuration], t.seed): t.id for t in reversed(trials) if t.repeat_of is None
        }
        self._tried = {trial.configuration for trial in trials if trial.number is not None}
        searched = [trial for trial in trials if trial.number is not None]
        self._searched = sum(trial.repeat_of is None for trial in searched)
        self._repeats_in_row = next(
            (i for i, trial in enumerate(reversed(searched)) if trial.repeat_of is None), len(searched)
        )
        self._waiting_repeats = [t for t in trials if t.repeat_of is not None and t.state in UNFINISHED]
        self._proposals = Proposals(self._spec, trials, self._best)

        self._writer.set_sweep_state("running")
        for control in self._reader.controls(self._sweep.id):
            if control.trial is None:  # to a driver that is gone: whoever starts a sweep wants it to run
                self._writer.finish_control(control.id)
        if trials:
            self._say_resumed(trials)
        for trial in trials:
            if trial.repeat_of is None and trial.state in UNFINISHED:
                self._writer.end_trial(trial.id, trial.attempt, "queued")
                self._admit(trial, {**values[trial.configuration], "seed": trial.seed})
        for repeat in list(self._waiting_repeats):
            self._settle(repeat)
        self._add_baselines(trials)

    def _say_resumed(self, trials: Sequence[TrialRecord]) -> None:
        own = [trial for trial in trials if trial.repeat_of is None]
        ended = sum(trial.state not in UNFINISHED for trial in own)
        cut_off = [trial for trial in own if trial.state == "running"]
        if cut_off:
            names = ", ".join(str(trial.id) for trial in cut_off)
            self._event("kill", f"the last driver went away while trial {names} ran")
        text = f"resumed: {ended} trials have ended, {len(own) - ended} go on"
        self._event("resume", text)
        self._progress.note(text)

    def _add_baselines(self, trials: Sequence[TrialRecord]) -> None:
        have = {(trial.configuration, trial.seed) for trial in trials if trial.role == "baseline"}
        for seed in self._spec.always_seed_values:
            for params in self._spec.always:
                config = self._spec.train_config(params, seed)
                configuration, values = self._add_configuration(config)
                if (configuration, seed) not in have:
                    have.add((configuration, seed))
                    self._add_trial(config, configuration, values, role="baseline", params=params)

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

    def _from_queue(self) -> Job | None:
        """In order, but past trials whose stage is still running: a waiting trial holds no slot."""
        for trial in list(self._queue):
            record, values = self._entries[trial]
            state = self._stages.state(record.stage) if record.stage else "ready"
            if state == "needed":
                job = self._stages.start(str(record.stage), values)
                self._event("start", f"{job.name} started: attempt {job.attempt}")
                self._progress.started(None, f"{job.name} started")
                return job
            if state == "failed":
                self._fail_by_stage(trial)
            if state == "ready":
                self._queue.remove(trial)
                return self._start(trial)
        return None

    def _start(self, trial: int) -> TrialJob:
        record, values = self._entries[trial]
        attempt = self._writer.start_trial(trial)
        self._entries[trial] = _Entry(record._replace(attempt=attempt, state="running"), values)
        self._states[trial] = "running"
        # Two reports may share a step, and a kill may fall between them: the last step is asked for again.
        last = self._reader.last_step(trial)
        what = ", ".join(f"{name}={_short(value)}" for name, value in record.params.items()) or "defaults"
        text = f"trial {trial} started ({record.role}, seed {record.seed}): {what}"
        if attempt > 1:
            text = f"trial {trial} goes on: attempt {attempt}, stored up to step {last}"
        self._event("start", text, trial)
        self._progress.started(trial, text)
        return TrialJob(
            trial,
            attempt,
            values,
            folder=str(Path(self._sweep.folder) / "trials" / str(self._sweep.id) / str(trial)),
            pretrained=str(self._stages.folder(record.stage)) if record.stage else None,
            acknowledged=max(0, last - 1),
        )

    def _may_propose(self) -> bool:
        if self._search_over:
            return False
        why = self._why_over()
        if why is not None:
            self._search_over = True
            if why:
                self._event("search", why)
                self._progress.note(why)
            return False
        # What waits for a stage must not use up the budget on stale proposals; those of a sampler that
        # learns nothing are never stale, and a few more of them may find a stage that is ready.
        ahead = self._slots * (1 if self._spec.search.sampler == "tpe" else 4)
        return len(self._queue) < ahead

    def _why_over(self) -> str | None:
        """None while the search goes on; '' where it has come to its planned end."""
        if self._proposals.exhausted or self._searched >= self._spec.search.trials:
            return ""
        if self._size is not None and len(self._tried) >= self._size:
            return f"the search has ended: all {self._size} configurations of the space have been tried"
        if self._repeats_in_row >= MOST_REPEATS:
            return f"the search has ended: {MOST_REPEATS} proposals in a row had been made before"
        return None

    def _propose(self) -> None:
        proposal = self._proposals.ask()
        seed = self._spec.search.seed
        try:
            config = self._spec.train_config(proposal.params, seed)
        except InvalidConfig as error:
            self._add_impossible(proposal, str(error))
            return
        original = self._known.get((content_hash(config.content()), seed))
        configuration, values = self._add_configuration(config)
        self._tried.add(configuration)
        if original is None:
            self._searched += 1
            self._repeats_in_row = 0
            self._add_trial(config, configuration, values, role="search", **proposal._asdict())
        else:
            self._add_repeat(proposal, original, configuration, config.pretrain.steps + config.finetune.steps)

    def _add_impossible(self, proposal: Proposal, error: str) -> None:
        """A point of the space that is no run. It counts, or a space of nothing else would never end."""
        hash, seed = content_hash({"impossible": proposal.params}), self._spec.search.seed
        configuration = self._writer.add_configuration(hash, proposal.params)
        self._tried.add(configuration)
        original = self._known.get((hash, seed))
        if original is not None:
            self._add_repeat(proposal, original, configuration, 0)
            return
        self._searched += 1
        self._repeats_in_row = 0
        record = self._writer.add_trial(
            configuration=configuration, role="search", seed=seed, steps=0, **proposal._asdict()
        )
        self._known[hash, seed] = record.id
        self._entries[record.id] = _Entry(record, {})
        self._end_unstarted(record.id, "failed", error=error)

    def _add_repeat(self, proposal: Proposal, original: int, configuration: int, steps: int) -> None:
        self._repeats_in_row += 1
        state = self._states[original]
        repeat = self._writer.add_trial(
            configuration=configuration,
            role="search",
            seed=self._spec.search.seed,
            steps=steps,
            repeat_of=original,
            state="queued" if state in UNFINISHED else state,
            **proposal._asdict(),
        )
        self._event("repeat", f"proposal {proposal.number} repeats trial {original}", repeat.id)
        self._waiting_repeats.append(repeat)
        self._settle(repeat)

    def _add_configuration(self, config: TrainConfig) -> tuple[int, dict[str, Any]]:
        values = config.to_dotted()
        stored = {name: value for name, value in values.items() if name != "seed"}
        return self._writer.add_configuration(content_hash(config.content()), stored), values

    def _add_trial(
        self,
        config: TrainConfig,
        configuration: int,
        values: dict[str, Any],
        *,
        role: str,
        params: Mapping[str, Any],
        number: int | None = None,
        distributions: Mapping[str, str] | None = None,
        system_attrs: Mapping[str, Any] | None = None,
    ) -> None:
        record = self._writer.add_trial(
            configuration=configuration,
            role=role,
            number=number,
            seed=config.seed,
            steps=config.pretrain.steps + config.finetune.steps,
            stage=config.stage_key() if config.pretrain.steps else None,
            params=params,
            distributions=distributions or {},
            system_attrs=system_attrs or {},
        )
        self._known.setdefault((content_hash(config.content()), config.seed), record.id)
        self._admit(record, values)

    def _admit(self, record: TrialRecord, values: dict[str, Any]) -> None:
        self._entries[record.id] = _Entry(record, values)
        self._states[record.id] = "queued"
        self._queue.append(record.id)

    # --- what becomes of it -------------------------------------------------------------------
    def take(self, job: Job, reports: Sequence[Report], cost: Cost = NOTHING) -> bool:
        """Stores what a job reports, once; false: the job is not to go on."""
        if self._live.get(_key(job)) != job:
            return False
        self._costs[_key(job)] = cost
        if isinstance(job, StageJob):  # its rows stay in its folder: they are no trial's
            return not self._stopping
        good = list(itertools.takewhile(lambda report: not _not_finite(report), reports))
        self._keep(job, good)
        wrong = _not_finite(reports[len(good)]) if len(good) < len(reports) else ""
        if wrong:
            self.fail(job, wrong)
            return False
        if job.trial in self._unwanted:
            self._end(job.trial, "stopped", reason="stopped on request")
            return False
        return not self._stopping

    def _keep(self, job: TrialJob, reports: Sequence[Report]) -> None:
        finite = [(r.step, {name: v for name, v in r.values.items() if math.isfinite(v)}) for r in reports]
        rows = [MetricRow(name, step, value) for step, values in finite for name, value in values.items()]
        evaluations = [each for report in reports for each in report.evaluations]
        if rows or evaluations:
            self._writer.add_rows(job.trial, job.attempt, rows, evaluations)
        for step, values in finite:
            if self._spec.metric in values:
                new, old = values[self._spec.metric], self._best.get(job.trial)
                if old is None or self._direction * new < self._direction * old:
                    self._best[job.trial] = new
            self._progress.rows(job.trial, step, values)

    def finish(self, job: Job, cost: Cost = NOTHING) -> None:
        """It came to its end."""
        if self._live.get(_key(job)) != job:
            return
        self._costs[_key(job)] = cost
        if isinstance(job, StageJob):
            self._stages.finish(job, self._forget(job.key))
            self._event("end", f"{job.name} complete")
            self._progress.ended(None, "complete", f"{job.name} complete")
        elif job.trial in self._best:
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
            self._stages.fail(job, error, self._forget(job.key))
            self._say_stage_failed(job, error)
        else:
            self._end(job.trial, "failed", error=error)

    def lost(self, job: Job) -> None:
        """Its worker died: queued again, first in line, unless that has happened too often."""
        if self._live.get(_key(job)) != job:
            return
        if isinstance(job, StageJob):
            if self._stages.lose(job, self._forget(job.key)):
                self._event("lost", f"the worker of {job.name} died; it goes on from its last checkpoint")
            else:
                self._say_stage_failed(job, self._stages.errors[job.key])
            return
        losses = 1 + sum(e.kind == "lost" for e in self._reader.events(self._sweep.id, job.trial))
        if losses > MOST_LOSSES:
            self._end(job.trial, "lost", error=f"its worker died {losses} times")
            return
        text = f"the worker of trial {job.trial} died; it goes on from its last checkpoint"
        self._event("lost", text, job.trial)
        self._hand_back(job)
        self._queue.insert(0, job.trial)
        self._progress.ended(job.trial, "queued", text)

    def _hand_back(self, job: TrialJob) -> None:
        cost = self._forget(job.trial)
        self._writer.end_trial(job.trial, job.attempt, "queued", **cost._asdict())
        self._states[job.trial] = "queued"

    def _end(self, trial: int, state: str, *, error: str = "", reason: str = "") -> None:
        record = self._entries.pop(trial).record
        self._unwanted.discard(trial)
        self._states[trial] = state
        tokens = self._tokens(trial)
        cost = self._forget(trial)
        self._writer.end_trial(
            trial, record.attempt, state, error=error, reason=reason, tokens=tokens, **cost._asdict()
        )
        best = self._best.get(trial)
        value = f", {self._spec.metric} {best:.6g}" if best is not None else ""
        text = f"trial {trial} {state}{value}" + (
            f": {_last_line(error or reason)}" if error or reason else ""
        )
        self._event("failure" if state in ("failed", "lost") else "end", text, trial)
        self._progress.ended(trial, state, text)
        self._tell(record)
        for repeat in [each for each in self._waiting_repeats if each.repeat_of == trial]:
            self._settle(repeat)

    def _end_unstarted(self, trial: int, state: str, *, error: str = "", reason: str = "") -> None:
        record, values = self._entries[trial]
        self._entries[trial] = _Entry(record._replace(attempt=self._writer.start_trial(trial)), values)
        self._end(trial, state, error=error, reason=reason)

    def _fail_by_stage(self, trial: int) -> None:
        self._queue.remove(trial)
        stage = str(self._entries[trial].record.stage)
        self._end_unstarted(
            trial, "failed", error=f"its pretrain, stage {stage}, failed: {self._stages.errors[stage]}"
        )

    def _say_stage_failed(self, job: StageJob, error: str) -> None:
        text = f"{job.name} failed: {_last_line(error)}"
        self._event("failure", text)
        self._progress.ended(None, "failed", text)

    def _settle(self, repeat: TrialRecord) -> None:
        """Once the trial that it repeats has ended, a repeat has that trial's state, and its value."""
        state = self._states[repeat.repeat_of or 0]
        if state in UNFINISHED:
            return
        self._waiting_repeats.remove(repeat)
        if repeat.state in UNFINISHED:
            self._writer.end_trial(repeat.id, self._writer.start_trial(repeat.id), state)
        self._tell(repeat)

    def _tell(self, record: TrialRecord) -> None:
        if record.number is not None:
            original = record.repeat_of or record.id
            complete = self._states[original] == "complete"
            self._proposals.tell(record.number, self._best.get(original) if complete else None)

    def _tokens(self, trial: int) -> int:
        rows = self._reader.curve([trial], "tokens", points=2).get(trial, [])
        return int(rows[-1][1]) if rows else 0

    def _forget(self, key: int | str) -> Cost:
        self._live.pop(key, None)
        return self._costs.pop(key, NOTHING)

    # --- what others ask ----------------------------------------------------------------------
    def poll(self) -> bool:
        """Renews the lease and reads the controls. False: someone has asked the sweep to stop."""
        now = time.monotonic()
        if now - self._renewed > LEASE / 3:
            self._store.take_lease(self._sweep.id, self._holder, LEASE)
            self._renewed = now
        if now - self._polled >= self._poll_every:
            self._polled = now
            for control in self._reader.controls(self._sweep.id):
                self._writer.finish_control(control.id)
                if control.trial is None:
                    self._stopping = True
                    self._event("control", "asked to stop the sweep")
                else:
                    self._stop_trial(control.trial)
            self._progress.status(self.status())
        return not self._stopping

    def _stop_trial(self, trial: int) -> None:
        self._event("control", f"asked to stop trial {trial}", trial)
        if trial in self._live:
            self._unwanted.add(trial)  # take() stops it at its next report
        elif trial in self._queue:
            self._queue.remove(trial)
            self._end_unstarted(trial, "stopped", reason="stopped on request")

    def interrupt(self, reason: str) -> None:
        """Everything that runs is handed back; the next driver goes on with it."""
        for job in list(self._live.values()):
            if isinstance(job, StageJob):
                self._stages.hand_back(job, self._forget(job.key))
            else:
                self._hand_back(job)
                self._queue.insert(0, job.trial)
        self._event("interrupt", reason)
        self._writer.set_sweep_state("interrupted", reason)

    def end(self) -> None:
        """To be called once `next` has said EXHAUSTED."""
        counts = self.states()
        note = ", ".join(f"{count} {state}" for state, count in sorted(counts.items())) or "no trials"
        over = self._why_over()
        self._writer.set_sweep_state("complete" if counts.get("complete") else "failed", over or note)
        self._event("end", f"the sweep has ended: {note}")

    # --- the sweep at a glance ----------------------------------------------------------------
    @property
    def live(self) -> int:
        return len(self._live)

    def states(self) -> dict[str, int]:
        """Trials by state, repeats not counted."""
        counts: dict[str, int] = {}
        for state in self._states.values():
            counts[state] = counts.get(state, 0) + 1
        return counts

    def status(self) -> Status:
        to_come = 0 if self._search_over else max(0, self._spec.search.trials - self._searched)
        ranked = [(self._direction * best, trial) for trial, best in self._best.items()]
        leader = min(ranked)[1] if ranked else None
        return Status(
            self._spec.name,
            self.states(),
            len(self._states) + to_come,
            self._spec.metric,
            self._best[leader] if leader is not None else None,
            leader,
            self._slots,
            time.monotonic() - self._began,
        )

    def _event(self, kind: str, text: str, trial: int | None = None) -> None:
        self._writer.add_event(kind, text, trial)


def exit_code(states: Mapping[str, int]) -> int:
    """Of a sweep that has ended: 0 done; 4 some trials failed; 5 nothing to rank."""
    if not states.get("complete"):
        return 5
    return 4 if states.get("failed") or states.get("lost") else 0


def _key(job: Job) -> int | str:
    return job.key if isinstance(job, StageJob) else job.trial


def _not_finite(report: Report) -> str:
    """A sentence where what the search or the board goes by is no number; '' where all is well."""
    for name, value in report.values.items():
        if name in BY_NAME and BY_NAME[name].direction != "none" and not math.isfinite(value):
            return f"{name} is {value} at step {report.step}"
    for each in report.evaluations:
        if not all(map(math.isfinite, (each.nelbo, *each.nats_D))):
            return f"the evaluation on {each.split} is not finite at step {report.step}"
    return ""


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else ""
