import math

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from scipy.integrate import quad

from trainer.noise.clips import Clip
from trainer.noise.reweighting import (
    REWEIGHTINGS,
    AnyReweighting,
    Edm,
    FlowMatching,
    Iddpm,
    Reweighting,
    Sigmoid,
    Simple,
    Unweighted,
    mean_weight,
    normalizer,
)
from trainer.noise.schedules import (
    SCHEDULES,
    BimodalGaussian,
    Cosine,
    Gaussian,
    Logarithmic,
    LogLinear,
    NoiseLevel,
    NoiseSchedule,
    Square,
    SquareRoot,
)
from trainer.values import kind_of

CASES: list[Reweighting] = [*(each() for each in REWEIGHTINGS), Sigmoid(k=3), Sigmoid(k=-3), Sigmoid(k=20)]
every_weight = pytest.mark.parametrize("reweighting", CASES, ids=str)

# The table of docs/formulas.md section 3: c, the integral of w over p in (0, 1).
TABLE: list[tuple[Reweighting, float]] = [
    (Unweighted(), 1.0),
    (Edm(), 0.54882),
    (Iddpm(), math.pi / 4),
    (Sigmoid(k=0), 0.5),
    (Sigmoid(k=3), 0.8870),
    (Sigmoid(k=-3), 0.1130),
    (FlowMatching(), math.pi / 2),
]
COVERING: list[NoiseSchedule] = [
    Square(),
    SquareRoot(),
    Logarithmic(),
    LogLinear(),
    Cosine(eps=0),
    Gaussian(sigma=2),
]


def at(p: float | np.ndarray | torch.Tensor) -> NoiseLevel:
    return NoiseLevel(p, 1 / p)  # log-linear


@pytest.mark.parametrize(("reweighting", "c"), TABLE, ids=str)
def test_the_table_by_integration_over_p(reweighting, c):
    mass = (
        quad(lambda p: reweighting.weight(at(p)), 0, 0.5)[0]
        + quad(lambda p: reweighting.weight(at(p)), 0.5, 1)[0]
    )
    assert mass == pytest.approx(c, rel=1e-4, abs=5e-5)


@pytest.mark.parametrize(("reweighting", "c"), TABLE, ids=str)
def test_the_table_by_the_normalizers_quadrature(reweighting, c):
    assert mean_weight(reweighting, Square(), Clip()) == pytest.approx(
        c, rel=1e-4, abs=5e-5
    )  # p from 1e-6 on


@pytest.mark.parametrize("k", [-3, -0.5, 1, 3])
def test_c_of_sigmoid_in_closed_form(k):
    q = math.exp(-k)
    closed = (1 - q - q * k) / (1 - q) ** 2
    assert mean_weight(Sigmoid(k=k), Square(), Clip()) == pytest.approx(closed, rel=1e-4)


@pytest.mark.parametrize(("reweighting", "c"), TABLE, ids=str)
@pytest.mark.parametrize("schedule", COVERING, ids=str)
def test_c_is_the_same_for_every_covering_schedule(reweighting, c, schedule):
    """E_t[w loss_scale p] over t in (0, 1): that is what writing w in lambda buys."""

    def integrand(t: float) -> float:
        level = schedule(t)
        return reweighting.weight(level) * level.loss_scale * level.move_chance

    mass = sum(
        quad(integrand, *ends, limit=200)[0] for ends in [(1e-12, 0.01), (0.01, 0.99), (0.99, 1 - 1e-12)]
    )
    assert mass == pytest.approx(c, rel=2e-3)


def test_simple_is_not_the_same_for_every_schedule():
    values = [mean_weight(Simple(), schedule, Clip()) for schedule in (LogLinear(), Square(), SquareRoot())]
    assert values == pytest.approx([0.5, 1 / 3, 2 / 3], rel=0.04)


@pytest.mark.parametrize("p", [np.linspace(1e-3, 1, 99), torch.linspace(1e-3, 1, 99)], ids=["numpy", "torch"])
def test_simple_is_sigmoid_0_under_loglinear(p):
    np.testing.assert_allclose(
        Simple().weight(LogLinear()(p)), Sigmoid(k=0).weight(LogLinear()(p)), rtol=1e-6
    )


def test_simple_leaves_the_plain_cross_entropy():
    level = Cosine()(np.linspace(0.01, 1, 9))
    np.testing.assert_allclose(Simple().weight(level) * level.loss_scale, 1)


def test_the_same_weights_in_alpha():
    p = np.linspace(0.01, 0.99, 99)
    alpha, level = 1 - p, at(p)
    np.testing.assert_allclose(Iddpm().weight(level), 2 * np.sqrt(alpha * (1 - alpha)))
    np.testing.assert_allclose(FlowMatching().weight(level), np.sqrt((1 - alpha) / alpha))
    for k in (-3, 0, 3):
        np.testing.assert_allclose(
            Sigmoid(k=k).weight(level), (1 - alpha) / (1 - (1 - math.exp(-k)) * alpha), rtol=1e-9
        )


@every_weight
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_are_finite_at_both_ends(reweighting, dtype):
    p = torch.tensor([1e-9, 1e-5, 0.5, 1 - 1e-7, 1.0], dtype=dtype)
    weight = reweighting.weight(at(p))
    assert torch.isfinite(weight).all()
    assert (weight >= 0).all()


def test_weights_where_everything_is_masked():
    ends = [
        reweighting.weight(at(1.0)) for reweighting in (Unweighted(), Sigmoid(), Sigmoid(k=3), Iddpm(), Edm())
    ]
    assert ends == pytest.approx([1, 1, 1, 0, 0], abs=1e-4)


@every_weight
@pytest.mark.parametrize("schedule", [each() for each in SCHEDULES], ids=str)
@pytest.mark.parametrize(
    "clip", [Clip(), Clip(low=0.3, high=0.8), Clip(low=0.5, high=0.5), Clip(low=1)], ids=str
)
def test_mean_weight_is_the_mean_over_u(reweighting, schedule, clip):
    """Against the trapezoid rule on a grid that is dense at the ends and beside the bimodal's t = w."""
    low, high = clip.time(0.0), clip.time(1.0)
    jump = (0.6 - low) / (high - low) if low < high else 0.5
    steps = np.geomspace(1e-13, 0.5, 3_000)
    u = np.concatenate([np.linspace(0, 1, 10_001), steps, 1 - steps, jump + steps, jump - steps])
    u = np.unique(u[(u >= 0) & (u <= 1)])
    level = clip.level(schedule, u, 0.4)
    mass = level.loss_scale * level.move_chance
    mean = np.trapezoid(reweighting.weight(level) * mass, u) / np.trapezoid(mass, u)
    assert mean_weight(reweighting, schedule, clip, 0.4) == pytest.approx(mean, rel=1e-3)


def test_normalizer_is_one_unless_asked_for():
    assert normalizer(Unweighted(), LogLinear(), Clip()) == 1
    assert normalizer(Sigmoid(), LogLinear(), Clip()) == 1
    assert normalizer(Sigmoid(normalize=True), LogLinear(), Clip()) == pytest.approx(0.5005)


def test_a_normalized_weight_has_mean_one():
    schedule, clip, reweighting = Cosine(), Clip(low=0.2, high=0.9), Sigmoid(k=-2, normalize=True)
    level = clip.level(schedule, (np.arange(100_000) + 0.5) / 100_000)
    weight = reweighting.weight(level) / normalizer(reweighting, schedule, clip)
    mass = level.loss_scale * level.move_chance
    assert np.sum(weight * mass) == pytest.approx(np.sum(mass), rel=1e-6)


def test_normalizer_follows_a_moving_schedule_and_is_cached():
    moving, still = BimodalGaussian(), LogLinear()
    reweighting = Iddpm(normalize=True)
    assert normalizer(reweighting, moving, Clip(), 0.0) != normalizer(reweighting, moving, Clip(), 1.0)
    normalizer(reweighting, still, Clip(), 0.1)
    misses = mean_weight.cache_info().misses
    assert normalizer(reweighting, still, Clip(), 0.9) == normalizer(reweighting, still, Clip(), 0.1)
    assert mean_weight.cache_info().misses == misses


def test_the_union_reads_every_name():
    adapter = TypeAdapter(AnyReweighting)
    names = map(kind_of, REWEIGHTINGS)
    assert [type(adapter.validate_python({"name": name})) for name in names] == list(REWEIGHTINGS)
    with pytest.raises(ValidationError):
        adapter.validate_python({"name": "none", "normalize": True})
