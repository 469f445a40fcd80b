"""Densities of times: what holds of every one in the union, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference import times as reference
from tests.trainer.random_settings import any_of
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig, content_hash
from trainer.noise.clips import Clip
from trainer.noise.schedules import SCHEDULES, BimodalGaussian
from trainer.noise.times import MOST_WEIGHT, TIMES, BellTime, BetaTime, TableTime, TimeDensity, UniformTime
from trainer.objectives.forward import sample_time
from trainer.values import kind_of, named

MANY = settings(deadline=None, max_examples=40)
every_time = pytest.mark.parametrize("kind", TIMES, ids=kind_of)
draws = st.lists(st.floats(0, 1 - 2**-20), min_size=1, max_size=20).map(np.array)
NUMBERS = {
    "a": st.floats(0.1, 20),
    "b": st.floats(0.1, 20),
    "mu": st.floats(0, 1),
    "sigma": st.floats(0.01, 9),
}
HEIGHTS = st.lists(st.floats(0.02, 1), min_size=2, max_size=64) | st.just([0.0, 1.0, 3.0, 0.0])
GRID = np.linspace(0, 1, 2**14 + 1)[:-1]


@st.composite
def any_values(draw: st.DrawFn, kind: type[TimeDensity]) -> TimeDensity:
    """Corrected where its weights may be, and now and then not."""
    numbers = {name: draw(numbers) for name, numbers in NUMBERS.items() if name in kind.model_fields}
    if kind is TableTime:
        numbers["heights"] = draw(HEIGHTS)
    if kind is UniformTime:
        return kind()
    free = kind(**numbers, importance=False)
    may_be = min(free.shape()) * MOST_WEIGHT >= 1
    return kind(**numbers) if may_be and draw(st.booleans()) else free


def over_u(time: TimeDensity, of) -> float:
    """The integral of of(share) * weight over u: exact for of linear on every step of the quantile
    function."""
    height_K = np.array(time.shape())
    edges = np.concatenate([[0.0], np.cumsum(height_K) / len(height_K)])
    middle, width = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    inside = width > 0
    share, weight = time.drawn(middle[inside])
    return float(np.sum(width[inside] * weight * of(share)))


@MANY
@every_time
@given(data=st.data(), u=draws)
def test_it_is_its_slow_form_for_floats_arrays_and_tensors(kind, data, u):
    time = data.draw(any_values(kind))
    share, weight = time.drawn(u)
    slow = np.array([reference.drawn(time, each) for each in u])
    np.testing.assert_allclose(share, slow[:, 0], atol=1e-7)
    density, again = time.at(share)
    if kind is not UniformTime:
        near_an_edge = np.abs(share * len(time.shape()) - np.round(share * len(time.shape()))) < 1e-6
        np.testing.assert_allclose(weight[~near_an_edge], slow[~near_an_edge, 1], rtol=1e-5)
        np.testing.assert_allclose(again[~near_an_edge], weight[~near_an_edge])
        assert np.all(density[~near_an_edge] > 0)
    for one, other in zip(time.drawn(torch.from_numpy(u)), (share, weight), strict=True):
        np.testing.assert_allclose(one.numpy(), other, rtol=1e-12)
    assert [type(each) for each in time.drawn(float(u[0]))] == [float, float]
    half = torch.from_numpy(u).float().clamp(max=1 - 2**-24)
    assert all(each.dtype == torch.float32 for each in time.drawn(half))


@MANY
@every_time
@given(data=st.data(), slope=st.floats(-3, 3))
def test_divided_by_the_density_means_stay(kind, data, slope):
    """Of any function of the time: here of a line. Not divided, the mean is the density's own."""
    time = data.draw(any_values(kind))
    mean = over_u(time, lambda share: 1 + slope * share)
    if time.corrected:
        assert mean == pytest.approx(1 + slope / 2, abs=1e-9)
    else:
        centres = (np.arange(len(time.shape())) + 0.5) / len(time.shape())
        assert mean == pytest.approx(1 + slope * np.mean(np.array(time.shape()) * centres), abs=1e-9)


@MANY
@every_time
@given(data=st.data())
def test_it_is_a_quantile_function_so_that_strata_stay(kind, data):
    time = data.draw(any_values(kind))
    share, weight = time.drawn(GRID)
    assert np.all(np.diff(share) >= 0)
    assert 0 <= share.min() <= share.max() <= 1
    assert np.all((weight > 0) & (weight <= MOST_WEIGHT * 1.001))
    u_BN = sample_time(8, 16, antithetic=True, generator=torch.Generator().manual_seed(0), device="cpu")
    order_BN = u_BN.flatten().argsort()
    assert torch.all(time.drawn(u_BN)[0].flatten()[order_BN].diff() >= 0)


@MANY
@every_time
@given(data=st.data(), schedule=any_of(SCHEDULES), u=draws, progress=st.floats(0, 1))
def test_the_level_is_the_schedules_at_the_time_drawn(kind, data, schedule, u, progress):
    """Within the clip, and within each of the schedule's parts as within the whole."""
    time, clip = data.draw(any_values(kind)), Clip(low=0.2, high=0.9)
    drawn = time.level(schedule, clip, u, progress)
    for i, each in enumerate(u):
        first, last = next((a, b) for a, b in reversed(schedule.parts) if each >= a)
        share, weight = time.drawn(float((each - first) / (last - first)))
        t = first + (last - first) * (0.2 + 0.7 * share)
        expected = schedule(t, progress)
        assert drawn.level.move_chance[i] == pytest.approx(expected.move_chance, rel=1e-6, abs=1e-9)
        assert drawn.weight[i] == pytest.approx(weight)


def test_uniform_times_are_the_clips_own_to_the_bit():
    u_BN = torch.rand(4, 8, generator=torch.Generator().manual_seed(0))
    for schedule in (each() for each in SCHEDULES):
        drawn = UniformTime().level(schedule, Clip(low=0.3), u_BN, 0.5)
        plain = schedule(Clip(low=0.3).time(u_BN), 0.5)
        assert all(torch.equal(a, b) for a, b in zip(drawn.level, plain, strict=True))
        assert torch.equal(drawn.weight, torch.ones_like(u_BN))


def test_a_mode_by_its_own_coin_has_the_clip_to_itself():
    """By time, a clip of the first half leaves the second mode out; by a coin it is as likely as before."""
    clip, u = Clip(high=0.5), np.linspace(0, 1, 1001)[:-1]
    by_time, by_coin = BimodalGaussian(w=0.6), BimodalGaussian(w=0.6, coin="own")
    assert np.all(clip.level(by_time, u, 1.0).move_chance < 0.5)
    assert np.mean(clip.level(by_coin, u, 1.0).move_chance > 0.5) == pytest.approx(0.4)
    whole = [Clip(low=0.3).level(each, u, 1.0) for each in (by_time, by_coin)]
    assert np.mean(whole[1].move_chance < 0.5) == pytest.approx(0.6)
    assert np.mean(whole[0].move_chance < 0.5) == pytest.approx(3 / 7, abs=2e-3)


@pytest.mark.parametrize(
    ("values", "key", "sentence"),
    [
        (
            {"finetune.time": {"name": "bell", "sigma": 0.14}},
            "finetune.time",
            "its weights reach 196, more than 100: E[w^2] would be 18, and 1 is uniform; widen it, "
            "or say importance: false, which trains another objective",
        ),
        (
            {"pretrain.time": {"name": "table", "heights": [0, 1]}},
            "pretrain.time",
            "its weights reach infinity, more than 100: E[w^2] would be infinite, and 1 is uniform; widen "
            "it, or say importance: false, which trains another objective",
        ),
        ({"finetune.time": {"name": "table", "heights": [1]}}, "heights", "1 numbers: 2 to 64 are a table"),
        (
            {"objective.name": "ar", "finetune.time": "bell"},
            "finetune.time",
            "ar has no noise: leave the time out",
        ),
        (
            {"objective.name": "sedd", "finetune.time.per": "token"},
            "finetune.time.per",
            "sedd is told one noise level for a sequence: block or sequence",
        ),
        (
            {"finetune.time": "bell", "finetune.clip": "auto"},
            "finetune.time",
            "auto compares clips under uniform times, one a block: leave the time out",
        ),
        (
            {"finetune.time.per": "token", "finetune.masking.name": "frequency"},
            "finetune.time.per",
            "a time for each token leaves a masking rule nothing to choose: use uniform",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_is_a_sentence(values, key, sentence):
    with pytest.raises(InvalidConfig) as caught:
        TrainConfig.from_dotted(values)
    (problem,) = caught.value.problems
    assert problem.key.endswith(key)
    assert problem.sentence == sentence


def test_the_variance_of_a_refusal_is_that_of_the_weights():
    """E[w^2] over what is drawn: by stratified draws of the density itself."""
    bell = BellTime(sigma=0.16)
    _, weight = bell.drawn((np.arange(10**6) + 0.5) / 10**6)
    assert np.mean(weight**2) == pytest.approx(np.mean(1 / np.array(bell.shape())), rel=1e-3)


def test_a_run_is_known_by_its_times_and_not_by_the_default():
    plain = TrainConfig.from_dotted({})
    spelt = TrainConfig.from_dotted({"finetune.time": {"name": "uniform", "per": "block"}})
    assert content_hash(spelt.content()) == content_hash(plain.content())
    other = [
        {"finetune.time": "beta"},
        {"finetune.time": {"name": "beta", "importance": False}},
        {"finetune.time": {"name": "beta", "per": "sequence"}},
        {"finetune.time.per": "token"},
        {"finetune.schedule": {"name": "gaussian"}},
        {"finetune.schedule": {"name": "gaussian", "gamma": 0.1}},
        {"finetune.schedule": {"name": "gaussian", "outside": "kept"}},
    ]
    runs = [TrainConfig.from_dotted(each) for each in other]
    assert len({content_hash(each.content()) for each in (plain, *runs)}) == len(other) + 1
    assert {each.stage_key() for each in runs} == {plain.stage_key()}
    for each in runs:
        assert TrainConfig.from_dotted(each.to_dotted()) == each


@every_time
def test_it_is_chosen_by_its_name_alone(kind):
    assert named(kind().name, TIMES) is kind
    run = TrainConfig.from_dotted({"finetune.time": kind().name})
    assert run.finetune.time == kind()


def test_beta_1_1_is_uniform():
    u = np.linspace(0, 1, 100)[:-1]
    share, weight = BetaTime(a=1, b=1).drawn(u)
    np.testing.assert_allclose(share, u, atol=1e-12)
    np.testing.assert_allclose(weight, 1)
