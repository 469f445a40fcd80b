"""Trials of the search that are ended early: which, why, and that a kill changes none of it."""

import json
import random
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from sweeper.driver.driver import Driver
from sweeper.results.leaderboard import leaderboard
from sweeper.search.early_stopping import EarlyStopping
from sweeper.spec.yaml_source import InvalidSpec
from sweeper.store.queries import Reader
from sweeper.store.records import TrialRecord
from sweeper.strategies.pruners import Hyperband, Median, Patient, SuccessiveHalving
from tests import fakes
from tests.sweeper.driving import (
    Killed,
    drive,
    kill_points,
    make_spec,
    opened,
    run_to_end,
    run_until_killed,
    told,
)
from tests.sweeper.processes import Work, end_of, kill, wait_for
from trainer.evaluation.record import Report

RULES = {
    "successive_halving": "{pruner: successive_halving, min_steps: 2, reduction_factor: 2}",
    "hyperband": "{pruner: hyperband, min_steps: 2, reduction_factor: 2}",
    "median": "{pruner: median, min_steps: 2, startup_trials: 1}",
    "patient": "{pruner: patient, min_steps: 4, patience: 1}",
}
STAGED = ("trainer.pretrain.steps=2", "trainer.pretrain.block_size=64")
BASELINE = "always=[{finetune.block_size: 16}]"


def spec_of(rule: str, *overrides: str):
    steps = ("trainer.finetune.steps=12", "trainer.evaluation.every=2", "search.trials=10")
    return make_spec(f"early_stopping={RULES[rule]}", *steps, *STAGED, *overrides)


def trials_of(url: str) -> list[TrialRecord]:
    with closing(Reader(url)) as reader:
        return reader.trials(1)


@pytest.mark.parametrize("rule", RULES)
def test_some_are_ended_early_and_the_reason_is_told(rule: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    run_to_end(url, spec_of(rule, BASELINE, "always_seeds=1", "search.sampler=random"), tmp_path / "files")
    trials = [trial for trial in trials_of(url) if trial.repeat_of is None]
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert {trial.state for trial in trials} == {"complete", "pruned"}
    assert {trial.role for trial in pruned} == {"search"}
    with closing(Reader(url)) as reader:
        curves = reader.curve([trial.id for trial in trials], "val_ppl")
        board = leaderboard(reader, "test")
        events = [event.text for event in reader.events(1, limit=1000) if event.kind == "prune"]
    for trial in pruned:
        step, value = curves[trial.id][-1]
        assert trial.reason.startswith(f"at step {step - 2} of 12 of the fine-tune val_ppl {value:.6g}")
        assert trial.ended is not None
        assert trial.tokens == 16 * 64 * (step - 2)
        ledger = tmp_path / "files" / "trials" / "1" / str(trial.id) / "ledger.txt"
        assert len(ledger.read_text().splitlines()) == step - 2 < 12
    assert len(events) == len(pruned)
    ranked = [row for row in board.rows if row.rank is not None]
    assert board.rows[: len(ranked)] == ranked
    assert {row.state for row in ranked} == {"complete"}
    assert {row.note for row in board.rows if row.state == "pruned"} == {f"pruned {t.reason}" for t in pruned}


@pytest.mark.parametrize(
    "stride",
    [37, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(2400)])],
    ids=["some", "every"],
)
@pytest.mark.parametrize("rule", RULES)
def test_kill_points(rule: str, stride: int, tmp_path: Path) -> None:
    spec, url = spec_of(rule, "search.trials=7"), f"sqlite:///{tmp_path}/whole.db"
    points = 0
    for copy in kill_points(url, spec, tmp_path / "whole", stride):
        run_to_end(copy, spec, tmp_path)
        assert told(copy) == told(url), f"killed at {copy}"
        points += 1
    assert points * stride > 60
    assert "pruned" in {trial[5] for trial in told(url)["trials"]}


@pytest.mark.parametrize(
    "rule",
    ["hyperband", *(pytest.param(rule, marks=pytest.mark.long) for rule in RULES if rule != "hyperband")],
)
def test_killed_again_and_again_it_prunes_as_if_nobody_had(rule: str, tmp_path: Path) -> None:
    spec = spec_of(rule, "search.sampler=random")
    run_to_end(f"sqlite:///{tmp_path}/whole.db", spec, tmp_path / "whole")
    lifetimes, kills = random.Random(rule), 0
    cut = f"sqlite:///{tmp_path}/cut.db"
    while run_until_killed(cut, spec, tmp_path / "cut", commits=lifetimes.randrange(5, 40)):
        kills += 1
    assert kills > 3
    assert told(cut) == told(f"sqlite:///{tmp_path}/whole.db")


def test_a_kill_after_the_decision_and_before_the_end_of_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is in the store with the rows; the next driver ends the trial, and runs it no more."""
    url, spec = f"sqlite:///{tmp_path}/sweeps.db", spec_of("patient", "search.sampler=random")
    end = Driver._end

    def die(driver: Driver, trial: int, state: str, **why: str) -> None:
        if state == "pruned":
            raise Killed
        end(driver, trial, state, **why)

    fakes.killed = True  # nothing of it is saved on the way out
    monkeypatch.setattr(Driver, "_end", die)
    with pytest.raises(Killed), opened(url, spec, tmp_path / "files") as driver:
        drive(driver)
    monkeypatch.undo()
    (half,) = [trial for trial in trials_of(url) if trial.state == "pruned"]
    assert half.ended is None
    with opened(url, spec, tmp_path / "files"):
        (now,) = [trial for trial in trials_of(url) if trial.id == half.id]
    assert now.ended is not None
    assert now.tokens > 0
    assert (now.attempt, now.reason, now.state) == (half.attempt, half.reason, "pruned")


@pytest.mark.parametrize("rule", ["successive_halving", "patient"])
def test_with_more_slots_all_end_once(rule: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    with opened(url, spec_of(rule), tmp_path / "files", slots=3) as driver:
        drive(driver, slots=3)
    states = [trial.state for trial in trials_of(url) if trial.repeat_of is None]
    assert len(states) == 10
    assert set(states) == {"complete", "pruned"}


def record(number: int, state: str = "queued", **more: object) -> TrialRecord:
    fields = dict.fromkeys(TrialRecord._fields)
    fields |= {"id": number + 1, "number": number, "state": state, "steps": 100, "system_attrs": {}, **more}
    return TrialRecord(**fields)  # type: ignore[arg-type]


def values_of(stopping: EarlyStopping, number: int, *values: float) -> str:
    stopping.add(record(number), {})
    reports = [Report(10 * (i + 1), {"val_ppl": value}) for i, value in enumerate(values)]
    return stopping.judge(record(number), reports).pruned


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


@pytest.mark.parametrize(
    "rule",
    [
        SuccessiveHalving(min_steps=10),
        Hyperband(min_steps=10),
        Median(min_steps=20),
        Patient(min_steps=20, patience=2),
    ],
    ids=lambda rule: rule.pruner,
)
def test_decisions_are_those_of_a_study_that_optuna_runs(rule) -> None:
    """On random curves, against study.optimize with the same pruner under the same name."""
    chance = random.Random(0)
    curves = [[chance.uniform(4, 5) - 0.1 * i for i in range(10)] for _ in range(40)]

    def objective(trial: optuna.Trial) -> float:
        for i, value in enumerate(curves[trial.number][:-1]):
            trial.report(value, 10 * (i + 1))
            if 10 * (i + 1) >= rule.min_steps and trial.should_prune():
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


KINDS = "successive_halving, hyperband, median, patient"
RULE = "early_stopping={pruner: median, "


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("early_stopping={min_steps: 2}", f"early_stopping.pruner: missing: one of {KINDS}"),
        (
            "early_stopping={pruner: hyperbnd, min_steps: 2}",
            f"early_stopping.pruner: 'hyperbnd' is no pruner; one of {KINDS}; did you mean hyperband?",
        ),
        (
            "early_stopping={pruner: median}",
            "early_stopping.min_steps: missing: fine-tune steps",
        ),
        (
            f"{RULE}min_steps: 1, mim_steps: 2}}",
            "early_stopping.mim_steps: unknown; did you mean",
        ),
        (f"{RULE}min_steps: 1, patience: 2}}", "early_stopping.patience: unknown"),
        (f"{RULE}min_steps: 0}}", "early_stopping.min_steps: must be greater than or equal to 1, got 0"),
        (
            f"{RULE}min_steps: 4}}",
            "early_stopping.min_steps: 4 leaves nothing to save of a fine-tune",
        ),
        ("early_stopping=median", "early_stopping: a group of values (pruner, min_steps, ...), not 'median'"),
        ("replicates=0", "replicates: must be greater than or equal to 1, got 0"),
        ("confirm={top: 2}", "confirm.seeds: missing: how many seeds to confirm each on"),
        ("confirm={top: 2, seeds: 1}", "confirm.seeds: must be greater than or equal to 2, got 1"),
        ("confirm={top: 2, seeds: 3, seed: 1}", "confirm.seed: unknown; did you mean confirm.seeds?"),
    ],
)
def test_mistakes_are_said(override: str, said: str) -> None:
    with pytest.raises(InvalidSpec) as raised:
        make_spec(override)
    (problem,) = raised.value.problems
    assert f"{problem.key}: {problem.sentence}".startswith(said)


def test_an_evaluation_must_come_before_the_end() -> None:
    with pytest.raises(InvalidSpec, match="none of every 4 steps comes before the end"):
        make_spec("early_stopping={pruner: median, min_steps: 1}", "trainer.evaluation.every=4")


@pytest.mark.parametrize("rule", RULES)
def test_a_stored_spec_is_read_back(rule: str) -> None:
    spec = spec_of(rule, "replicates=2", "confirm={top: 2, seeds: 3}")
    read = type(spec).from_resolved(json.loads(json.dumps(spec.resolved())))
    assert (read.early_stopping, read.confirm, read.replicates) == (
        spec.early_stopping,
        spec.confirm,
        spec.replicates,
    )


RAY = """
name: test
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  pretrain.steps: 2
  pretrain.block_size: 64
  finetune.steps: 12
  evaluation.every: 2
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
search: {sampler: tpe, trials: 8, seed: 3}
early_stopping: {pruner: successive_halving, min_steps: 2, reduction_factor: 2}
resources: {cpu: 1, gpu: 0, slots: 1}
"""


@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_twice_under_ray_it_prunes_as_if_nobody_had(tmp_path: Path) -> None:
    whole, cut = Work(tmp_path / "whole"), Work(tmp_path / "cut")
    whole.place.mkdir()
    cut.place.mkdir()
    run_to_end(whole.url, make_spec(text=RAY), whole.files)  # without Ray: the same Driver, the same trainer
    for moment in (9, 25):
        driver = cut.start(RAY, seconds=0.1)
        wait_for(lambda at=moment: cut.steps() >= at, driver)
        kill(driver)
        cut.lose_rays_files()
    code, output = end_of(cut.start(RAY))
    assert code == 0, output
    assert told(cut.url) == told(whole.url)
    assert "pruned" in json.dumps(told(cut.url)["trials"])
