"""The sampler gp: what noise is a trial's own, what one point is, and what it will not propose again."""

import math
from functools import cache
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.search.proposals import FAILED, Outcome, Proposal, Proposals
from sweeper.spec.spec import SweepSpec
from sweeper.strategies.gaussian_process import FAR, GaussianProcess, Points, _observed, own_variance
from sweeper.strategies.optuna_private_gp import fitted
from sweeper.strategies.samplers import SAMPLERS, Gp
from sweeper.strategies.shown import DEVIATIONS
from tests.sweeper.driving import make_spec
from tests.sweeper.search.test_proposals import ask, outcome

TEXT = """
name: test
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, cosine, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
  finetune.batch_size: {int: [1, 4], when: {finetune.block_size: [4, 16]}}
  finetune.lr: {log_uniform: [1e-5, 1e-1]}
search: {sampler: gp, trials: 40}
"""
CONTINUOUS = ("finetune.schedule.mu", "finetune.lr")


# --- noise -------------------------------------------------------------------------------------------
vectors = st.lists(st.floats(-3, 3), min_size=5, max_size=5)


@given(own=st.lists(vectors, min_size=2, max_size=6), shared=vectors)
def test_what_documents_add_to_all_trials_is_no_noise_of_theirs(
    own: list[list[float]], shared: list[float]
) -> None:
    moved = [[a + b for a, b in zip(each, shared, strict=True)] for each in own]
    assert own_variance(moved) == pytest.approx(own_variance(own), abs=1e-9)
    assert own_variance([shared] * len(own)) == pytest.approx([0.0] * len(own), abs=1e-12)


def test_own_variance_is_that_which_each_trial_was_given() -> None:
    chance = np.random.RandomState(0)
    error_N, shared_D = np.array([0.1] * 20 + [0.4] * 20), 5 * chance.normal(size=1000)
    given_ND = (shared_D + error_N[:, None] * chance.normal(size=(40, 1000))) / 1000**0.5
    found = own_variance(given_ND.tolist()) ** 0.5
    assert found == pytest.approx(error_N, rel=0.25)


def test_where_nothing_is_known_of_a_trial_it_is_as_the_others_are() -> None:
    assert own_variance([[], [], []]).tolist() == [0, 0, 0]
    assert own_variance([[3.0, 4.0], [], []]).tolist() == [25, 25, 25]  # alone: all that there is
    one, two, three, four = own_variance([[2.0, 0.0], [0.0, 0.0], [], [0.0, 3.0, 4.0]])
    assert (one, two, three, four) == (pytest.approx(2), pytest.approx(2), pytest.approx(2), 25)


def test_a_value_with_a_large_error_is_believed_less() -> None:
    """The same four values at the same four points, of which one is out of line."""
    spec = make_spec(text=TEXT)
    points = Points(spec.space, _distributions())
    x_ND = points.of([_trial({**_point(spec), "finetune.lr": 10.0**-k}) for k in (2, 3, 4, 5)])
    value_N = np.array([0.0, 0.1, 3.0, 0.3])
    at_outlier = [
        fitted(points.space, x_ND, value_N, np.array([0, 0, variance, 0.0]), points.canonical).expected()[2]
        for variance in (0.0, 1.0, 100.0)
    ]
    assert at_outlier[0] > at_outlier[1] > at_outlier[2]


def test_values_that_are_told_are_turned_clipped_and_scaled() -> None:
    complete = [_trial({}, values=[value]) for value in (1.0, 2.0, 3.0, 1000.0)]
    pruned = optuna.trial.create_trial(state=optuna.trial.TrialState.PRUNED)
    value_NM, variance_NM = _observed([*complete, pruned], [optuna.study.StudyDirection.MINIMIZE])
    best, _, _, diverged, ended = value_NM[:, 0]
    assert value_NM.mean() == pytest.approx(0)
    assert value_NM.std() == pytest.approx(1)
    assert best == value_NM.max()
    assert ended == diverged == value_NM.min()
    second, third = value_NM[1:3, 0]
    median = (second + third) / 2
    assert median - diverged == pytest.approx(FAR * (best - median))
    assert variance_NM.tolist() == [[0.0]] * 5


# --- points ------------------------------------------------------------------------------------------
@settings(deadline=None, max_examples=10, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1000))
def test_a_point_and_its_parameters_are_one_whatever_stands_where_nothing_exists(seed: int) -> None:
    spec = make_spec(text=TEXT)
    points = Points(spec.space, _distributions())
    x_BD = points.space.sample_normalized_params(8, np.random.RandomState(seed))
    for x_D in x_BD:
        params = points.params(x_D)
        assert spec.space.problem(params) is None
        (there,) = points.of([_trial(params)])
        np.testing.assert_allclose(points.canonical(there), points.canonical(x_D), atol=1e-9)
        for name, value in points.params(there).items():
            assert value == (pytest.approx(params[name], rel=1e-9) if name in CONTINUOUS else params[name])


def test_what_does_not_exist_makes_no_distance_and_what_does_makes_one() -> None:
    spec = make_spec(text=TEXT)
    points = Points(spec.space, _distributions())
    names = list(_distributions())
    mu, schedule = names.index("finetune.schedule.mu"), names.index("finetune.schedule.name")
    one = points.of([_trial(_point(spec))])[0]
    choices = ["loglinear", "cosine", "gaussian"]
    for name in choices:
        one[schedule] = choices.index(name)
        low, high = one.copy(), one.copy()
        low[mu], high[mu] = 0.2, 0.8
        same = bool((points.canonical(low) == points.canonical(high)).all())
        assert same == (points.params(one)["finetune.schedule.name"] != "gaussian")


# --- proposals ---------------------------------------------------------------------------------------
def search(spec: SweepSpec, told: Any, asks: int) -> list[Proposal]:
    proposals, asked = Proposals(spec, [], {}), list[Proposal]()
    for number in range(asks):
        asked.append(ask(proposals))
        proposals.tell(number, told(asked[-1]))
    return asked


def test_what_it_proposes_depends_on_the_seed_the_number_and_what_was_told(small_samplers: None) -> None:
    spec = make_spec(text=TEXT)
    asked = search(spec, outcome, 8)
    assert search(spec, outcome, 8) == asked
    assert search(make_spec("search.seed=1", text=TEXT), outcome, 8) != asked


def test_a_conditional_parameter_is_modelled_not_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The best mu is .7, of gaussian alone, which alone is good."""
    monkeypatch.setitem(SAMPLERS, Gp.name, Gp(startup=6, even=256))

    def told(proposal: Proposal) -> Outcome:
        mu = proposal.params.get("finetune.schedule.mu")
        return Outcome((2.0 if mu is None else 4 * abs(mu - 0.7),))

    asked = search(make_spec(text=TEXT), told, 24)
    late = [each.params.get("finetune.schedule.mu", math.inf) for each in asked[16:]]
    assert sum(abs(mu - 0.7) < 0.1 for mu in late) > len(late) // 2


def test_a_point_that_fails_is_not_proposed_again_nor_all_about_it(small_samplers: None) -> None:
    """The smaller the learning rate the better, but below 1e-3 nothing runs."""

    def told(proposal: Proposal) -> Outcome:
        lr = proposal.params["finetune.lr"]
        return FAILED if lr < 1e-3 else Outcome((math.log10(lr),))

    asked = search(make_spec(text=TEXT), told, 30)
    assert any(told(each) == FAILED for each in asked)
    assert sum(told(each) != FAILED for each in asked[12:]) > 9
    assert len({tuple(each.params.items()) for each in asked}) == len(asked)


def test_what_runs_is_not_proposed_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SAMPLERS, Gp.name, Gp(startup=4, even=32))
    text = "name: test\nsearch: {sampler: gp, trials: 9}\nspace: "
    text += "{finetune.block_size: {choice: [4, 8, 16]}, finetune.batch_size: {choice: [1, 2]}}"
    proposals = Proposals(make_spec(text=text), [], {})
    known = set()
    while len(known) < 4:
        proposal = ask(proposals)
        known.add(tuple(proposal.params.values()))
        proposals.tell(proposal.number or 0, Outcome((float(proposal.params["finetune.block_size"]),)))
    running = {tuple(ask(proposals).params.values()) for _ in range(2)}
    assert len(running | known) == 6


def test_a_parameter_that_no_trial_has_is_drawn(small_samplers: None) -> None:
    spec = make_spec(text=TEXT)
    study = optuna.create_study(sampler=GaussianProcess(0, spec.space, startup=1, even=16))
    study.add_trial(_trial({"finetune.lr": 1e-3}, values=[1.0]))
    trial = study.ask()
    assert set(trial.relative_params) == {"finetune.lr"}
    assert 0.2 <= trial.suggest_float("finetune.schedule.mu", 0.2, 0.8) <= 0.8


def test_deviations_are_the_studys_alone(small_samplers: None) -> None:
    """They are not stored with a proposal: they come of the store's evaluations."""
    proposals = Proposals(make_spec(text=TEXT), [], {})
    first = ask(proposals)
    proposals.tell(0, Outcome((1.0,), deviations=[0.5, -0.5]))
    assert DEVIATIONS not in first.system_attrs
    assert proposals._study.get_trials()[0].system_attrs == {DEVIATIONS: [0.5, -0.5]}


@cache
def _distributions() -> dict[str, Any]:
    """Of every dimension, in the space's order."""
    spec, found = make_spec(text=TEXT), dict[str, Any]()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    for _ in range(40):
        trial = study.ask()
        spec.space.suggest(trial)
        found |= trial.distributions
    return {name: found[name] for name in spec.space.dimensions}


def _point(spec: SweepSpec) -> dict[str, Any]:
    point = spec.space.example({})
    assert point is not None
    return point


def _trial(params: dict[str, Any], values: list[float] | None = None) -> optuna.trial.FrozenTrial:
    kinds = _distributions()
    return optuna.trial.create_trial(
        values=values or [0.0], params=params, distributions={name: kinds[name] for name in params}
    )
