"""What has become of each trial: what the store has of it, and every change that a driver makes to it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeper.driver.jobs import NOTHING, Cost, TrialJob
from sweeper.driver.lease import HeldSweep
from sweeper.files.remote import within
from sweeper.results.progress_estimate import Run
from sweeper.search.deviations import deviations
from sweeper.search.early_stopping import Verdict
from sweeper.search.proposals import FAILED, UNFINISHED, Outcome, Proposal
from sweeper.store.records import ENDS, MAY_BE_RETRIED, MetricRow, NewTrial, TrialRecord
from trainer.config.train_config import TrainConfig, content_hash
from trainer.evaluation.record import Evaluation
from trainer.metrics import BY_NAME


class Entry(NamedTuple):
    """A trial that has not ended."""

    record: TrialRecord
    values: dict[str, Any]  # dotted and complete, the seed included


class Documents(NamedTuple):
    """Of an evaluation."""

    nelbo: float
    nats_D: Sequence[float]
    tokens_D: Sequence[int]


class Trials:
    """states, best, last: by trial, repeats left out.

    best is the best value so far of the first metric, last the step and value of its last row.
    """

    def __init__(self, held: HeldSweep):
        self._sweep, self._reader, self._writer = held.record, held.reader, held.writer
        self._metric, *self._others = held.spec.metrics
        self.sign = {"min": 1.0, "max": -1.0}[BY_NAME[self._metric].direction]
        self.stored = self._reader.trials(self._sweep.id)  # as they were when this driver came
        self.own = [trial for trial in self.stored if trial.repeat_of is None]
        self.states = {trial.id: trial.state for trial in self.own}
        self.ended = [trial for trial in self.own if trial.state in ENDS]  # when this driver came
        self._roles = {trial.id: trial.role for trial in self.own}
        self._called = {trial.id: trial.called for trial in self.stored}
        latest = self._reader.latest(self._sweep.id)
        self.best = {row.trial: row.best for row in latest if row.name == self._metric}
        self.last = {row.trial: (row.step, row.value) for row in latest if row.name == self._metric}
        # Of the other metrics the last value counts: most have no best.
        self._also = {(row.trial, row.name): row.value for row in latest if row.name in self._others}
        # Of each trial the best evaluation's documents, where the sampler weighs errors.
        self._weighed: dict[int, Documents] = {}
        self._weighs = held.spec.search.strategy.weighs_errors
        for each in self._reader.evaluations(self._sweep.id, "valid") if self._weighs else ():
            self._weighed[each.trial] = Documents(each.nelbo, each.nats, each.tokens)
        hashes = {id: hash for hash, id in self._reader.configuration_hashes(self._sweep.id).items()}
        # The trial that stands for a configuration at a seed: later equal proposals repeat it.
        self._known = {(hashes[each.configuration], each.seed): each.id for each in reversed(self.own)}
        self._open: dict[int, Entry] = {}
        self._charged: dict[int, Cost] = {}  # of the running attempts: what the store has already
        self._workers: dict[int, str] = {}

    def hand_back_all(self) -> list[int]:
        """Those that the last driver left unfinished are queued again; not those that are paused."""
        values = self._reader.configurations(self._sweep.id)
        for trial in self.own:
            if trial.state == "pruned" and trial.ended is None:  # decided, and killed before it was said
                tokens = int(self.reported(trial.id, "tokens") or 0)
                self._writer.end_trial(trial.id, trial.attempt, "pruned", tokens=tokens)
        unfinished = [trial for trial in self.own if trial.state in UNFINISHED]
        for trial in unfinished:
            self._writer.end_trial(trial.id, trial.attempt, "queued")
            self._admit(trial, {**values[trial.configuration], "seed": trial.seed})
            if trial.state == "paused":
                self.states[trial.id] = "paused"
        return [trial.id for trial in unfinished if trial.state != "paused"]

    def look_again(self, trials: Sequence[int]) -> None:
        """At the store, where these, which had ended, are queued."""
        self.stored = self._reader.trials(self._sweep.id)
        self.own = [trial for trial in self.stored if trial.repeat_of is None]
        values = self._reader.configurations(self._sweep.id)
        for trial in self.own:
            if trial.id in trials:
                self._admit(trial, {**values[trial.configuration], "seed": trial.seed})

    # --- new ones -----------------------------------------------------------------------------
    def equal_to(self, hash: str, seed: int) -> int | None:
        """The trial that has this content already."""
        return self._known.get((hash, seed))

    def add(self, config: TrainConfig, role: str, proposal: Proposal) -> TrialRecord:
        """Of a proposal of the study."""
        return self._add([(config, role, proposal)])[0]

    def add_outside(self, role: str, runs: Sequence[tuple[Mapping[str, Any], TrainConfig]]) -> list[int]:
        """Trials outside the study, all of them or none: what is said of each, and the run that it is."""
        return [
            record.id
            for record in self._add(
                [(config, role, Proposal(None, dict(params), {}, {})) for params, config in runs]
            )
        ]

    def _add(self, new: Sequence[tuple[TrainConfig, str, Proposal]]) -> list[TrialRecord]:
        rows = [
            NewTrial(
                configuration=self.configuration(config),
                role=role,
                seed=config.seed,
                steps=steps(config),
                stage=config.stage_key() if config.pretrain.steps else None,
                **proposal._asdict(),
            )
            for config, role, proposal in new
        ]
        records = self._writer.add_trials(rows) if rows else []
        for record, (config, _, _) in zip(records, new, strict=True):
            self._known.setdefault((content_hash(config.content()), config.seed), record.id)
            self._admit(record, config.to_dotted())
        return records

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
        self._called[record.id] = record.called
        self.states[record.id] = "queued"
        self._roles[record.id] = record.role

    # --- their lives --------------------------------------------------------------------------
    def entry(self, trial: int) -> Entry:
        return self._open[trial]

    def start(self, trial: int, pretrained: str | None, pieces: int = 1, above: int = 0) -> TrialJob:
        """pieces: micro-batches for each that its values ask for. above: as in Writer.start_trial."""
        attempt = self._begin(trial, above)
        # Two reports may share a step, and a kill may fall between them: the last step is asked for again.
        acknowledged = max(0, self._reader.last_step(trial) - 1)
        folder = within(self._sweep.folder, "trials", str(self._sweep.id), str(trial))
        values = self._open[trial].values
        values = {**values, "accumulate": pieces * values.get("accumulate", 1)}
        return TrialJob(trial, attempt, values, folder, pretrained, acknowledged, self.called(trial))

    def _begin(self, trial: int, above: int = 0) -> int:
        record, values = self._open[trial]
        attempt = self._writer.start_trial(trial, above=above)
        self._open[trial] = Entry(record._replace(attempt=attempt, state="running"), values)
        self.states[trial] = "running"
        self._charged[trial] = NOTHING
        self._workers.pop(trial, None)
        return attempt

    def keep(
        self, job: TrialJob, verdict: Verdict, cost: Cost, worker: str
    ) -> list[tuple[int, dict[str, float]]]:
        """Stores what is finite, once, and whether the trial is pruned; returns it by step.

        The cost so far is stored with it.
        """
        reports = verdict.reports
        finite = [(r.step, {name: v for name, v in r.values.items() if math.isfinite(v)}) for r in reports]
        rows = [MetricRow(name, step, value) for step, values in finite for name, value in values.items()]
        evaluations = [each for report in reports for each in report.evaluations]
        if rows or evaluations or self._workers.get(job.trial, "") != worker:
            more = cost.since(self._charged[job.trial])
            self._writer.add_rows(
                job.trial,
                job.attempt,
                rows,
                evaluations,
                worker=worker,
                system_attrs=verdict.system_attrs,
                state="pruned" if verdict.pruned else None,
                reason=verdict.pruned,
                **more._asdict(),
            )
            self._charged[job.trial], self._workers[job.trial] = cost, worker
        for step, values in finite:
            self._remember(job.trial, step, values)
        for each in evaluations if self._weighs else ():
            self._weigh(job.trial, each)
        return finite

    def _remember(self, trial: int, step: int, values: Mapping[str, float]) -> None:
        if self._metric in values:
            value = values[self._metric]
            known = self.best.get(trial, math.inf * self.sign)
            self.best[trial] = self.sign * min(self.sign * known, self.sign * value)
            self.last[trial] = max(self.last.get(trial, (step, value)), (step, value), key=lambda at: at[0])
        self._also |= {(trial, name): values[name] for name in self._others if name in values}

    def _weigh(self, trial: int, given: Evaluation) -> None:
        """As the store keeps them: the lowest on valid, the earlier of equals."""
        known = self._weighed.get(trial)
        if given.split == "valid" and (known is None or given.nelbo < known.nelbo):
            self._weighed[trial] = Documents(given.nelbo, given.nats_D, given.tokens_D)

    def hand_back(self, trial: int, cost: Cost, state: str = "queued") -> None:
        """state: queued or paused."""
        more = cost.since(self._charged.pop(trial))
        self._writer.end_trial(trial, self._open[trial].record.attempt, state, **more._asdict())
        self.states[trial] = state

    def hand_back_alike(self, trials: Sequence[int], cost: Cost, why: str) -> None:
        """Those that have failed alike, and the one that is about to, which has cost so much: the next driver
        runs them again."""
        for trial in trials:
            if self.states[trial] == "running":
                self.hand_back(trial, cost)
        failed = [trial for trial in trials if self.states[trial] in MAY_BE_RETRIED]
        self.states |= dict.fromkeys(self._writer.retry(failed, why), "queued")

    def hold(self, trial: int, *, paused: bool) -> None:
        """A queued one is paused, or a paused one queued."""
        self._writer.hold(trial, paused)
        self.states[trial] = "paused" if paused else "queued"

    def called(self, trial: int) -> int:
        """What people call it; its id where it was proposed by nobody yet, and is asked for."""
        return self._called.get(trial, trial)

    def paused(self) -> list[int]:
        return [trial for trial, state in self.states.items() if state == "paused"]

    def end(
        self, trial: int, state: str, *, error: str = "", reason: str = "", cost: Cost = NOTHING
    ) -> TrialRecord:
        """Of a trial that was never started, too."""
        if self.states[trial] in ("queued", "paused"):
            self._begin(trial)
        record = self._open.pop(trial).record
        more = cost.since(self._charged.pop(trial))
        self._writer.end_trial(
            trial,
            record.attempt,
            state,
            error=error,
            reason=reason,
            tokens=int(self.reported(trial, "tokens") or 0),
            **more._asdict(),
        )
        self.states[trial] = state
        return record

    def reported(self, trial: int, name: str) -> float | None:
        """The last value that the store has."""
        rows = self._reader.curve([trial], name, points=2).get(trial, [])
        return rows[-1][1] if rows else None

    # --- what they come to --------------------------------------------------------------------
    def outcome(self, trial: int) -> Outcome:
        """What the study is told of a trial that has ended."""
        state = self.states[trial]
        if state == "pruned":
            return Outcome(pruned=self.last.get(trial))
        if state != "complete" or trial not in self.best:
            return FAILED
        others = [self._also.get((trial, name)) for name in self._others]
        if None in others:
            return FAILED
        best, weighed = self.best[trial], self._weighed.get(trial)
        told = deviations(self._metric, best, weighed.nats_D, weighed.tokens_D) if weighed else ()
        return Outcome((best, *(value for value in others if value is not None)), deviations=told)

    def outcomes(self) -> dict[int, Outcome]:
        """By trial, those that have not ended left out."""
        ended = (trial for trial, state in self.states.items() if state not in UNFINISHED)
        return {trial: self.outcome(trial) for trial in ended}

    def runs(self) -> Counter[Run]:
        """How many of each. It is asked twice a second, of as many as thousands."""
        pairs = Counter(zip(map(self._roles.__getitem__, self.states), self.states.values(), strict=True))
        return Counter({Run(*pair): count for pair, count in pairs.items()})

    def counts(self) -> dict[str, int]:
        return dict(sum((Counter({run.state: count}) for run, count in self.runs().items()), Counter()))


def steps(config: TrainConfig) -> int:
    return config.pretrain.steps + config.finetune.steps
