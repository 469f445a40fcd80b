"""Every sampler: what survives a kill, what it costs, and that it finds more than chance."""

import math
import random
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.search import regrets
from sweeper.search.proposals import Outcome, Proposal, Proposals
from sweeper.store.queries import Reader
from sweeper.store.records import ForeignTrial, TrialRecord
from sweeper.strategies.samplers import SAMPLERS, Tpe
from tests.sweeper.conftest import ENDLESS
from tests.sweeper.driving import drive, make_spec, opened, run_to_end, run_until_killed, told
from tests.sweeper.search.test_proposals import ask, ended, outcome
from trainer.evaluation.record import ratio_and_se

CONSTRAINT = "constraints=['finetune.schedule.mu < 0.7']"
POINT = "{{finetune.block_size: 16, finetune.schedule.name: gaussian, finetune.schedule.mu: {}}}"
TAKEN = {"finetune.block_size": 8, "finetune.schedule.name": "loglinear"}


# --- after a kill ------------------------------------------------------------------------------------
def _search(proposals: Proposals, asked: list[Proposal], until: int, metrics: int) -> list[Proposal]:
    while len(asked) < until and not proposals.exhausted:
        asked.append(ask(proposals))
        proposals.tell(len(asked) - 1, outcome(asked[-1], metrics))
    return asked


# A Gaussian process takes a quarter of a second a proposal.
@pytest.mark.parametrize(
    "sampler", [pytest.param(each, marks=[pytest.mark.long] * (each == "gp")) for each in sorted(SAMPLERS)]
)
@settings(deadline=None, max_examples=2, suppress_health_check=list(HealthCheck))
@given(
    metric=st.sampled_from(["val_ppl", "[val_ppl, tokens]"]),
    constrained=st.booleans(),
    foreign=st.integers(0, 12),
    kill=st.integers(0, 18),
    running=st.booleans(),
)
def test_a_study_rebuilt_at_any_point_goes_on_as_the_one_that_was_lost(
    sampler: str, metric: str, constrained: bool, foreign: int, kill: int, running: bool, small_samplers: None
) -> None:  # fmt: skip
    """running: it is killed between the proposal and what comes of it."""
    points = [POINT.format(0.5 + i / 1000) for i in range(24 if SAMPLERS[sampler].only_points else 1)]
    overrides = [f"search.sampler={sampler}", f"metric={metric}", f"search.points=[{', '.join(points)}]"]
    overrides.append("search.trials=24")
    if SAMPLERS[sampler].unfit(make_spec().space):  # a continuum
        mu = "{choice: [0.3, 0.4, 0.5, 0.6, 0.65, 0.9], when: {finetune.schedule.name: gaussian}}"
        overrides.append(f"space.finetune.schedule.mu={mu}")
    spec = make_spec(*overrides, *([CONSTRAINT] if constrained else []))
    metrics = len(spec.metrics)
    known = [ForeignTrial("other", i, TAKEN, [8.0 + i, 0.125][:metrics]) for i in range(foreign)]
    whole = _search(Proposals(spec, [], {}, known), [], 24, metrics)
    assert len(whole) > 18

    asked = _search(Proposals(spec, [], {}, known), [], kill, metrics)
    records = [ended(each, metrics) for each in asked]
    if running and records:
        records[-1] = records[-1]._replace(state="running")
    rebuilt = Proposals(spec, records, {(p.number or 0) + 1: outcome(p, metrics) for p in asked}, known)
    if running and records:
        rebuilt.tell(kill - 1, outcome(asked[-1], metrics))
    assert _search(rebuilt, asked, 24, metrics) == whole


@pytest.mark.parametrize("sampler", ["gp", "nsgaii", pytest.param("tpe", marks=pytest.mark.long)])
def test_killed_again_and_again_a_constrained_search_of_two_metrics_ends_as_if_nobody_had(
    sampler: str, tmp_path: Path, small_samplers: None
) -> None:
    spec = make_spec(f"search.sampler={sampler}", "metric=[val_ppl, tokens]", CONSTRAINT, "search.trials=12")
    run_to_end(f"sqlite:///{tmp_path}/whole.db", spec, tmp_path / "whole")
    lifetimes, kills = random.Random(sampler), 0
    while run_until_killed(
        f"sqlite:///{tmp_path}/cut.db", spec, tmp_path / "cut", commits=lifetimes.randrange(7, 28)
    ):
        kills += 1
    assert kills > 2
    assert told(f"sqlite:///{tmp_path}/cut.db") == told(f"sqlite:///{tmp_path}/whole.db")


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_one_that_proposes_a_list_has_a_length(sampler: str) -> None:
    assert SAMPLERS[sampler].lists == (SAMPLERS[sampler].length(make_spec().space) is not None)


@pytest.mark.parametrize("sampler", ENDLESS)
def test_no_configuration_is_run_twice(sampler: str, tmp_path: Path, small_samplers: None) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    text = """
name: test
trainer: {finetune.steps: 2}
space: {finetune.block_size: {choice: [4, 8, 16]}, finetune.batch_size: {choice: [1, 4]}}
constraints: [finetune.block_size * finetune.batch_size != 32]
search: {trials: 9}
"""
    run_to_end(url, make_spec(f"search.sampler={sampler}", text=text), tmp_path)
    with closing(Reader(url)) as reader:
        trials = reader.trials(1)
    run = [tuple(trial.params.items()) for trial in trials if trial.repeat_of is None]
    assert len(run) == len(set(run)) == 5
    assert any(trial.repeat_of for trial in trials) or len(trials) == 5  # some see what has been tried
    assert told(url)["sweep"][1] == "the search has ended: all 5 configurations of the space have been tried"


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_who_weighs_errors_is_told_of_documents_by_a_driver_that_comes_after_too(
    sampler: str, tmp_path: Path
) -> None:
    url, files = f"sqlite:///{tmp_path}/s.db", tmp_path / "files"
    spec = make_spec(f"search.sampler={sampler}", "search.trials=3")
    with opened(url, spec, files) as driver:
        drive(driver)
        outcomes = driver._trials.outcomes()
    with opened(url, spec, files) as driver:
        assert driver._trials.outcomes() == outcomes
    with closing(Reader(url)) as reader:
        shown = {each.trial: each for each in reader.evaluations(1, "valid")}
    assert len(outcomes) == 3
    for trial, each in outcomes.items():
        assert each.values is not None
        _, error = ratio_and_se(shown[trial].nats, shown[trial].tokens)
        weighed = each.values[0] * error if SAMPLERS[sampler].weighs_errors else 0
        assert math.hypot(*each.deviations) == pytest.approx(weighed)


# --- what it costs -----------------------------------------------------------------------------------
def test_tpe_is_fitted_on_no_more_than_it_should_be(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    original = optuna.samplers.TPESampler.infer_relative_search_space

    def spy(self: Any, study: optuna.Study, trial: Any) -> Any:
        seen.append(len(study.get_trials(deepcopy=False)))
        return original(self, study, trial)

    assert Tpe().most_seen <= 1000
    monkeypatch.setitem(SAMPLERS, "tpe", Tpe(most_seen=30))
    monkeypatch.setattr(optuna.samplers.TPESampler, "infer_relative_search_space", spy)
    asked = Proposals(make_spec("search.sampler=random", "search.trials=9"), [], {})
    trials: list[TrialRecord] = []
    outcomes: dict[int, Outcome] = {}
    for number in range(70):
        proposal = ask(asked)
        trials.append(ended(proposal))
        outcomes[number + 1] = Outcome((random.Random(number).random(),))
    complete = [trial._replace(state="complete") for trial in trials]
    ask(Proposals(make_spec("search.trials=2000"), complete, outcomes))
    assert set(seen) == {30}


# --- what it finds -----------------------------------------------------------------------------------
def test_tpe_beats_random_on_a_planted_function() -> None:
    """The benchmark, shortened: benchmarks/results/search.json has all of it."""
    random_, tpe = (sorted(regrets(sampler, seeds=5, trials=40)) for sampler in ("random", "tpe"))
    assert tpe[2] < random_[2]
