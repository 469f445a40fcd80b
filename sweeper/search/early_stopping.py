"""Which trials of the search are ended early: an Optuna study for the pruner's sake, rebuilt from the store.

Separate from the study that proposes: a study of several metrics cannot prune, and this one's trials have no
parameters. It has the sweep's name and trial numbers, from which Hyperband makes a trial's bracket; values
come from the stored rows, and Optuna's notes (a trial's rungs) from the attributes stored with them. So what
a pruner decides after a kill, with one slot, is what it would have decided without.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from sweeper.search.proposals import UNFINISHED
from sweeper.search.study import directions
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord
from sweeper.strategies.pruners import AnyPruner
from trainer.evaluation.record import Report

ENDS = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
EVERY = 1 << 40  # points of a curve: none is left out


class Verdict(NamedTuple):
    """reports: those that count, the one that decided last. pruned: why the trial is ended, or ''."""

    reports: Sequence[Report]
    system_attrs: dict[str, Any] | None = None  # Optuna's notes, to be stored with the reports
    pruned: str = ""


class NoEarlyStopping:
    """Of a sweep that ends no trial early."""

    def add(self, record: TrialRecord, values: Mapping[str, Any]) -> None:
        """Nothing."""

    def judge(self, record: TrialRecord, reports: Sequence[Report]) -> Verdict:
        return Verdict(reports)

    def end(self, record: TrialRecord, state: str) -> None:
        """Nothing."""


class EarlyStopping:
    """add every trial of the search in the order of its number; judge its reports; end it.

    Trials outside the study, baselines among them, are passed over: they are never ended early.
    """

    def __init__(self, name: str, pruner: AnyPruner, metric: str, steps: int):
        """name: the sweep's. steps: of the longest fine-tune."""
        self._rule, self._metric = pruner, metric
        self._storage = InMemoryStorage()
        self._study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            directions=directions([metric]),
            sampler=RandomSampler(seed=0),
            pruner=pruner.make(steps),
        )
        self._id = self._storage.get_study_id_from_name(name)
        self._first: list[int] = []  # by number: the pretrain's last step

    def add(
        self, record: TrialRecord, values: Mapping[str, Any], curve: Iterable[tuple[int, float]] = ()
    ) -> None:
        """values: of its configuration. curve: (step, value) as stored. A repeat competes with nobody."""
        if record.number is None:
            return
        assert record.number == len(self._first), "numbers count up from 0"
        self._first.append(first := values.get("pretrain.steps", 0))
        tuned = {step - first: value for step, value in curve if step > first}
        state = TrialState.RUNNING if record.state in UNFINISHED else ENDS.get(record.state, TrialState.FAIL)
        if record.repeat_of is not None or (state is TrialState.COMPLETE and not tuned):
            state = TrialState.FAIL
        self._study.add_trial(
            create_trial(
                state=state,
                value=tuned[max(tuned)] if state is TrialState.COMPLETE else None,
                intermediate_values=tuned,
                system_attrs=record.system_attrs,
            )
        )

    def judge(self, record: TrialRecord, reports: Sequence[Report]) -> Verdict:
        """What was reported before decides nothing: that has been done."""
        if record.number is None or not reports:
            return Verdict(reports)
        kept: list[Report] = []
        for report in reports:
            kept.append(report)
            pruned = self._judge(record.number, record.steps, report)
            if pruned:
                break
        return Verdict(kept, dict(self._frozen(record.number).system_attrs), pruned)

    def _judge(self, number: int, steps: int, report: Report) -> str:
        value, tuned = report.values.get(self._metric), report.step - self._first[number]
        if value is None or tuned <= 0 or tuned in self._frozen(number).intermediate_values:
            return ""
        id = self._storage.get_trial_id_from_study_id_trial_number(self._id, number)
        trial = Trial(self._study, id)
        trial.report(value, tuned)
        if report.step >= steps or tuned < self._rule.min_steps or not trial.should_prune():
            return ""
        why = self._rule.why(self._study, self._frozen(number))
        where = f"at step {tuned:,} of {steps - self._first[number]:,} of the fine-tune"
        return f"{where} {self._metric} {value:.6g}{why}"

    def end(self, record: TrialRecord, state: str) -> None:
        if record.number is None:
            return
        values = self._frozen(record.number).intermediate_values
        end = ENDS.get(state, TrialState.FAIL) if values else TrialState.FAIL
        self._study.tell(record.number, values[max(values)] if end is TrialState.COMPLETE else None, end)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]


def early_stopping(
    spec: SweepSpec, sweep: SweepRecord, trials: Iterable[TrialRecord], reader: Reader
) -> EarlyStopping | NoEarlyStopping:
    """As it stood when the store was written."""
    if spec.early_stopping is None:
        return NoEarlyStopping()
    stopping = EarlyStopping(spec.name, spec.early_stopping, spec.metric, spec.longest)
    studied = sorted((t for t in trials if t.number is not None), key=lambda trial: trial.number or 0)
    values = reader.configurations(sweep.id)
    curves = reader.curve([trial.id for trial in studied], spec.metric, points=EVERY)
    for trial in studied:
        stopping.add(trial, values[trial.configuration], curves[trial.id])
    return stopping
