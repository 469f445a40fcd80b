"""Trials of the search that are ended early: which, why, and that a kill changes none of it."""

import json
import random
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.driver.driver import Driver
from sweeper.results.leaderboard import leaderboard
from sweeper.spec.yaml_source import InvalidSpec
from sweeper.store.queries import Reader
from sweeper.store.records import TrialRecord
from sweeper.strategies.pruners import PRUNERS
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

# Settings with which ten short trials are enough to end one: those that a pruner has beside its name.
SHARP = {
    "successive_halving": "min_steps: 2, reduction_factor: 2",
    "hyperband": "min_steps: 2, reduction_factor: 2",
    "median": "min_steps: 2, startup_trials: 1",
    "patient": "min_steps: 4, patience: 2",
}
RULES = {name: f"{{pruner: {name}, {SHARP.get(name, 'min_steps: 2')}}}" for name in PRUNERS}
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
    assert points * stride > 36  # what belongs together is one commit
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
    assert "pruned" in states
    assert set(states) <= {"complete", "pruned"}


KINDS = ", ".join(PRUNERS)
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
