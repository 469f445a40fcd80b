"""Every pruner: that it decides as Optuna does, and says why."""

import random

import optuna
import pytest

from sweeper.search.early_stopping import EarlyStopping
from sweeper.store.records import TrialRecord
from sweeper.strategies.pruners import PRUNERS, Median, Patient, SuccessiveHalving
from trainer.evaluation.record import Report


def record(number: int, state: str = "queued", **more: object) -> TrialRecord:
    fields = dict.fromkeys(TrialRecord._fields)
    fields |= {"id": number + 1, "number": number, "state": state, "steps": 100, "system_attrs": {}, **more}
    return TrialRecord(**fields)  # type: ignore[arg-type]


def values_of(stopping: EarlyStopping, number: int, *values: float, steps: int = 100) -> str:
    trial = record(number, steps=steps)
    stopping.add(trial, {})
    reports = [Report(10 * (i + 1), {"val_ppl": value}) for i, value in enumerate(values)]
    return stopping.judge(trial, reports).pruned


def test_reasons() -> None:
    halving = EarlyStopping("s", SuccessiveHalving(min_steps=10, reduction_factor=2), "val_ppl", 100)
    assert values_of(halving, 0, 5.0) == ""
    assert values_of(halving, 1, 4.0) == ""
    said = "at step 10 of 100 of the fine-tune val_ppl 6 is not the best of the 3 trials at rung 0, where 4 "
    assert values_of(halving, 2, 6.0) == said + "goes on"

    patient = EarlyStopping("s", Patient(min_steps=10, patience=1), "val_ppl", 100)
    said = (
        "at step 30 of 100 of the fine-tune val_ppl 6.5, like the 1 before it, is worse than 5, the trial's"
    )
    assert values_of(patient, 0, 5.0, 7.0, 6.5) == f"{said} best until then"

    median = EarlyStopping("s", Median(min_steps=10, startup_trials=1), "val_ppl", 100)
    values_of(median, 0, 5.0, 4.0)
    median.end(record(0), "complete")
    said = (
        "at step 20 of 100 of the fine-tune val_ppl 6 (at best 4.5) is worse than the median 4 of 1 complete"
    )
    assert values_of(median, 1, 4.5, 6.0) == f"{said} trials"


def test_the_last_evaluation_ends_nothing_and_what_was_reported_decides_nothing_again() -> None:
    stopping = EarlyStopping("s", Patient(min_steps=1, patience=0), "val_ppl", 100)
    stopping.add(record(0), {"pretrain.steps": 80})
    reports = [Report(step, {"val_ppl": value}) for step, value in ((80, 1.0), (90, 4.0), (100, 5.0))]
    assert stopping.judge(record(0), reports).pruned == ""  # 80 is the pretrain's
    again = EarlyStopping("s", Patient(min_steps=1, patience=0), "val_ppl", 100)
    again.add(record(0, "running"), {}, [(10, 4.0), (20, 5.0)])
    assert again.judge(record(0), [Report(20, {"val_ppl": 5.0})]).pruned == ""
    assert again.judge(record(0), [Report(30, {"val_ppl": 6.0})]).pruned != ""


@pytest.mark.parametrize("name", PRUNERS)
def test_decisions_are_those_of_a_study_that_optuna_runs(name: str) -> None:
    """On random curves, against study.optimize with the same pruner under the same name."""
    rule = PRUNERS[name](min_steps=10)
    chance = random.Random(0)
    curves = [[chance.uniform(4, 5) - 0.1 * i for i in range(10)] for _ in range(40)]

    def objective(trial: optuna.Trial) -> float:
        for i, value in enumerate(curves[trial.number]):
            trial.report(value, 10 * (i + 1))
            if rule.min_steps <= 10 * (i + 1) < 100 and trial.should_prune():
                raise optuna.TrialPruned
        return curves[trial.number][-1]

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name="s", sampler=optuna.samplers.RandomSampler(0), pruner=rule.make(100)
    )
    study.optimize(objective, n_trials=len(curves))
    stopping = EarlyStopping("s", rule, "val_ppl", 100)
    pruned = []
    for number, curve in enumerate(curves):
        pruned.append(bool(values_of(stopping, number, *curve)))
        stopping.end(record(number), "pruned" if pruned[-1] else "complete")
    assert pruned == [trial.state.name == "PRUNED" for trial in study.trials]
    assert any(pruned)
    assert not all(pruned)
