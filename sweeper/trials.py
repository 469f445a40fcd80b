"""The sweep's trials: what the store has of them, and every change that a driver makes to one."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.jobs import NOTHING, Cost, TrialJob
from sweeper.proposals import UNFINISHED, Proposal
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow, SweepRecord, TrialRecord
from sweeper.store.store import Writer
from trainer.config import TrainConfig, content_hash
from trainer.evaluation.record import Report
from trainer.metrics import BY_NAME


class Entry(NamedTuple):
    """A trial that has not ended."""

    record: TrialRecord
    values: dict[str, Any]  # dotted and complete, the seed included


class Trials:
    """states, best: by trial, repeats left out. best is the best value so far of the metric."""

    def __init__(self, sweep: SweepRecord, metric: str, reader: Reader, writer: Writer):
        self._sweep, self._metric, self._reader, self._writer = sweep, metric, reader, writer
        self.sign = {"min": 1.0, "max": -1.0}[BY_NAME[metric].direction]
        self.stored = reader.trials(sweep.id)  # as they were when this driver came
        self.own = [trial for trial in self.stored if trial.repeat_of is None]
        self.states = {trial.id: trial.state for trial in self.own}
        self.best = {row.trial: row.best for row in reader.latest(sweep.id) if row.name == metric}
        hashes = {id: hash for hash, id in reader.configuration_hashes(sweep.id).items()}
        # The trial that stands for a configuration at a seed: later equal proposals repeat it.
        self._known = {(hashes[each.configuration], each.seed): each.id for each in reversed(self.own)}
        self._open: dict[int, Entry] = {}
        self._charged: dict[int, Cost] = {}  # of the running attempts: what the store has already
        self._workers: dict[int, str] = {}

    def hand_back_all(self) -> list[int]:
        """The trials that the last driver left unfinished, which are queued again."""
        values = self._reader.configurations(self._sweep.id)
        unfinished = [trial for trial in self.own if trial.state in UNFINISHED]
        for trial in unfinished:
            self._writer.end_trial(trial.id, trial.attempt, "queued")
            self._admit(trial, {**values[trial.configuration], "seed": trial.seed})
        return [trial.id for trial in unfinished]

    # --- new ones -----------------------------------------------------------------------------
    def equal_to(self, hash: str, seed: int) -> int | None:
        """The trial that has this content already."""
        return self._known.get((hash, seed))

    def add(self, config: TrainConfig, role: str, proposal: Proposal) -> TrialRecord:
        values = config.to_dotted()
        record = self._writer.add_trial(
            configuration=self.configuration(config),
            role=role,
            seed=config.seed,
            steps=steps(config),
            stage=config.stage_key() if config.pretrain.steps else None,
            **proposal._asdict(),
        )
        self._known.setdefault((content_hash(config.content()), config.seed), record.id)
        self._admit(record, values)
        return record

    def add_impossible(self, hash: str, seed: int, proposal: Proposal, error: str) -> TrialRecord:
        """A point of the space that is no run: a trial that has failed."""
        configuration = self._writer.add_configuration(hash, proposal.params)
        record = self._writer.add_trial(
            configuration=configuration, role="search", seed=seed, steps=0, **proposal._asdict()
        )
        self._known[hash, seed] = record.id
        self._admit(record, {})
        return record

    def configuration(self, config: TrainConfig) -> int:
        stored = {name: value for name, value in config.to_dotted().items() if name != "seed"}
        return self._writer.add_configuration(content_hash(config.content()), stored)

    def _admit(self, record: TrialRecord, values: dict[str, Any]) -> None:
        self._open[record.id] = Entry(record, values)
        self.states[record.id] = "queued"

    # --- their lives --------------------------------------------------------------------------
    def entry(self, trial: int) -> Entry:
        return self._open[trial]

    def start(self, trial: int, pretrained: Path | None) -> TrialJob:
        attempt = self._begin(trial)
        # Two reports may share a step, and a kill may fall between them: the last step is asked for again.
        acknowledged = max(0, self._reader.last_step(trial) - 1)
        folder = Path(self._sweep.folder) / "trials" / str(self._sweep.id) / str(trial)
        branch = str(pretrained) if pretrained else None
        return TrialJob(trial, attempt, self._open[trial].values, str(folder), branch, acknowledged)

    def _begin(self, trial: int) -> int:
        record, values = self._open[trial]
        attempt = self._writer.start_trial(trial)
        self._open[trial] = Entry(record._replace(attempt=attempt, state="running"), values)
        self.states[trial] = "running"
        self._charged[trial] = NOTHING
        self._workers.pop(trial, None)
        return attempt

    def keep(
        self, job: TrialJob, reports: Sequence[Report], cost: Cost, worker: str
    ) -> list[tuple[int, dict[str, float]]]:
        """Stores what is finite, once; returns it by step. The cost so far is stored with it."""
        finite = [(r.step, {name: v for name, v in r.values.items() if math.isfinite(v)}) for r in reports]
        rows = [MetricRow(name, step, value) for step, values in finite for name, value in values.items()]
        evaluations = [each for report in reports for each in report.evaluations]
        if rows or evaluations or self._workers.get(job.trial, "") != worker:
            more = cost.since(self._charged[job.trial])
            self._writer.add_rows(job.trial, job.attempt, rows, evaluations, worker=worker, **more._asdict())
            self._charged[job.trial], self._workers[job.trial] = cost, worker
        for _, values in finite:
            if self._metric in values:
                known = self.best.get(job.trial, math.inf * self.sign)
                self.best[job.trial] = self.sign * min(self.sign * known, self.sign * values[self._metric])
        return finite

    def hand_back(self, trial: int, cost: Cost) -> None:
        more = cost.since(self._charged.pop(trial))
        self._writer.end_trial(trial, self._open[trial].record.attempt, "queued", **more._asdict())
        self.states[trial] = "queued"

    def end(
        self, trial: int, state: str, *, error: str = "", reason: str = "", cost: Cost = NOTHING
    ) -> TrialRecord:
        """Of a trial that was never started, too."""
        if self.states[trial] == "queued":
            self._begin(trial)
        record = self._open.pop(trial).record
        rows = self._reader.curve([trial], "tokens", points=2).get(trial, [])
        more = cost.since(self._charged.pop(trial))
        self._writer.end_trial(
            trial,
            record.attempt,
            state,
            error=error,
            reason=reason,
            tokens=int(rows[-1][1]) if rows else 0,
            **more._asdict(),
        )
        self.states[trial] = state
        return record

    # --- what they come to --------------------------------------------------------------------
    def value(self, trial: int) -> float | None:
        """What the study is told of a trial that has ended."""
        return self.best.get(trial) if self.states[trial] == "complete" else None

    def leader(self) -> int | None:
        ranked = [(self.sign * best, trial) for trial, best in self.best.items()]
        return min(ranked)[1] if ranked else None

    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for state in self.states.values():
            counts[state] = counts.get(state, 0) + 1
        return counts


def steps(config: TrainConfig) -> int:
    return config.pretrain.steps + config.finetune.steps


def not_finite(report: Report) -> str:
    """A sentence where what the search or the board goes by is no number; '' where all is well."""
    for name, value in report.values.items():
        if name in BY_NAME and BY_NAME[name].direction != "none" and not math.isfinite(value):
            return f"{name} is {value} at step {report.step}"
    for each in report.evaluations:
        if not all(map(math.isfinite, (each.nelbo, *each.nats_D))):
            return f"the evaluation on {each.split} is not finite at step {report.step}"
    return ""
