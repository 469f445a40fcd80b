"""The density over the masking rate: against draws one by one, in closed form, and what it tells apart."""

import math

import numpy as np
import pytest
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from tests.reference import schedules as schedules_slowly
from tests.reference.density import sums
from tests.reference.weights import weight as slow_weight
from trainer.noise.clips import Clip
from trainer.noise.density import FINE, SAME, TENTHS, density
from trainer.noise.reweighting import Curve, Edm, FlowMatching, Iddpm, Sigmoid, Simple, Unweighted
from trainer.noise.schedules import (
    BimodalGaussian,
    Cosine,
    CosineMd4,
    Gaussian,
    Logarithmic,
    LogLinear,
    NoiseLevel,
    Poly,
    Square,
    SquareRoot,
)
from trainer.noise.times import BellTime, BetaTime, TableTime, UniformTime

NONE, ALL, EVEN = Unweighted(), Clip(), UniformTime()
schedules = st.one_of(
    st.sampled_from([LogLinear(), Square(), SquareRoot(), Logarithmic(), Cosine(), CosineMd4()]),
    st.floats(0.3, 3).map(lambda n: Poly(n=n)),
    st.builds(
        lambda mu, sigma, gamma, outside: Gaussian(mu=mu, sigma=sigma, gamma=gamma, outside=outside),
        *(st.floats(0.2, 0.8), st.floats(0.15, 1), st.sampled_from([0.0, 0.1, 1.0])),
        st.sampled_from(["cut", "kept"]),
    ),
    st.builds(
        lambda mu, w, weight, coin, gamma: BimodalGaussian(
            mu1=mu, w=w, weight=weight, coin=coin, gamma=gamma, sigma1=0.15, sigma2=0.2
        ),
        *(st.floats(0.1, 0.5), st.floats(0.2, 0.8), st.sampled_from(["branch", "mixture"])),
        *(st.sampled_from(["time", "own"]), st.sampled_from([0.1, 1.0])),
    ),
)
weights = st.sampled_from([NONE, Edm(), Iddpm(), Simple()]) | st.floats(-4, 4).map(lambda k: Sigmoid(k=k))
clips = st.tuples(st.floats(0.05, 0.9), st.floats(0.05, 0.9)).map(
    lambda ends: Clip(low=min(ends), high=max(ends))
) | st.just(Clip(low=1))
times = st.sampled_from(
    [EVEN, BetaTime(a=0.6, b=1.2), BellTime(mu=0.3), BellTime(sigma=0.1, importance=False), TableTime()]
)


@settings(deadline=None, max_examples=8, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(schedule=schedules, weight=weights, clip=clips, time=times, progress=st.sampled_from([0.0, 0.5, 1.0]))
@example(  # of 200 draws none lies in the first tenth, and 7e-6 of the mass does
    schedule=BimodalGaussian(mu1=0.449, w=0.497, sigma1=0.15, sigma2=0.2, gamma=0.1),
    weight=Sigmoid(k=-0.776),
    clip=Clip(low=0.0613, high=0.7203),
    time=TableTime(),
    progress=1.0,
)
def test_it_is_the_mean_over_draws_one_by_one(schedule, weight, clip, time, progress):
    assume(getattr(schedule, "w", 0) not in (clip.low, clip.high))  # where it jumps
    # Where p stands at an end the formula's slope is charged, which differences of p do not see.
    assume(
        getattr(schedule, "outside", "cut") == "cut"
        or 0.001 < rate(schedule, clip.low) <= rate(schedule, clip.high) < 0.999
    )
    draws = 200
    slow = sums(schedule, clip, weight, time, progress, draws, TENTHS)
    fast = density(schedule, clip, weight, time, progress)
    for got, expected, slack in zip(fast.tenths, slow.mass_B, slow.slack_B, strict=True):
        assert abs(got - expected) <= slack + 1e-9
    drawn = fast.drawn_K.reshape(TENTHS, -1).sum(axis=1)
    assert fast.drawn_K.sum() == pytest.approx(1, abs=1e-9)
    assert np.abs(np.cumsum(drawn) - np.cumsum(slow.drawn_B)).max() <= 3 / draws


def rate(schedule, t):
    return float(schedule(t).move_chance)


@settings(deadline=None, max_examples=40)
@given(
    schedule=st.sampled_from([LogLinear(), Square(), Logarithmic(), Cosine(), CosineMd4(), Poly(n=1.3)]),
    weight=st.sampled_from([NONE, Edm(), Iddpm(), Sigmoid(k=1.5)]),
    ends=st.tuples(st.floats(0.05, 0.6), st.floats(0.1, 0.4)),
)
def test_under_a_schedule_that_rises_it_is_the_weight_over_the_width_of_the_clip(schedule, weight, ends):
    """d(p) = w(p) / (high - low) between p(low) and p(high), 0 elsewhere: the schedule itself has gone."""
    clip = Clip(low=ends[0], high=ends[0] + ends[1])
    width = clip.high - clip.low
    found = density(schedule, clip, weight, EVEN)
    low, high = rate(schedule, clip.low), rate(schedule, clip.high)
    for b in range(TENTHS):
        start, end = max(b / TENTHS, low), min((b + 1) / TENTHS, high)
        mass = quad(lambda p: weight.weight(NoiseLevel(p, 1.0)), start, end)[0] if start < end else 0.0
        assert found.tenths[b] == pytest.approx(mass / width, rel=1e-7, abs=1e-9)
    squares = [
        quad(
            lambda t, power=power: (
                rate(schedule, t) ** power * (weight.weight(schedule(t)) * schedule(t).loss_scale) ** 2
            ),
            clip.low,
            clip.high,
        )[0]
        / width
        for power in (1, 2)
    ]
    assert [found.token_square, found.block_square] == pytest.approx(squares, rel=1e-7)


@settings(deadline=None, max_examples=30)
@given(
    schedule=schedules,
    weight=weights,
    clip=clips,
    time=st.sampled_from([BetaTime(a=0.5, b=0.8), BellTime(), TableTime(heights=(1, 5, 2))]),
)
def test_a_density_of_times_moves_the_variance_alone(schedule, weight, clip, time):
    plain, drawn = (density(schedule, clip, weight, each) for each in (EVEN, time))
    np.testing.assert_allclose(drawn.mass_K, plain.mass_K, atol=SAME * plain.total)
    assert drawn.same(plain)
    # Where p stands still over the whole clip, all times have one rate, however they are drawn.
    if clip.high - clip.low > 0.05 and np.count_nonzero(plain.drawn_K) > 1:
        assert not np.allclose(drawn.drawn_K, plain.drawn_K)
        freed = time.model_copy(update={"importance": False})
        assert not density(schedule, clip, weight, freed).same(plain)


heights = st.lists(st.floats(1e-3, 10), min_size=6, max_size=6)


@settings(deadline=None, max_examples=10)
@given(heights=heights, schedule=st.sampled_from([LogLinear(), Cosine(), CosineMd4()]), rises=st.booleans())
def test_a_curve_is_the_density_whatever_the_schedule(heights, schedule, rises):
    """Scaled to the bound's total; where each number adds to those before, a sum of bounds."""
    names = ("d0", "d20", "d40", "d60", "d80", "d100")
    curve = Curve(**dict(zip(names, heights, strict=True)), rises=rises)
    found, whole = density(schedule, ALL, curve, EVEN), density(schedule, ALL, NONE, EVEN)
    assert found.total == pytest.approx(whole.total, rel=1e-6)
    unscaled = [
        quad(lambda p: slow_weight(curve, p, 1.0), b / FINE, (b + 1) / FINE)[0] for b in range(1, FINE)
    ]
    scale = found.mass_K[1:] / np.array(unscaled)
    np.testing.assert_allclose(scale, scale[0], rtol=1e-6)
    if rises:
        assert found.kind in ("sum of bounds", "bound")


def test_kosmopoulous_setting_has_the_row_that_their_code_has():
    """gamma = .1, at the mean that the second mode moves to. Their times begin at 1e-8, ours at 1e-3."""
    row = [0.080, 0.388, 0, 0, 0, 0.001, 0.013, 0.086, 0.160, 0.099]
    theirs = BimodalGaussian(
        w=0.6, mu1=0.12, sigma1=0.02, sigma2=0.08, m_start=0.85, m_end=0.85,
        gamma=0.1, coin="own", outside="kept", u_eps=1e-8,
    )  # fmt: skip
    found = density(theirs, ALL, NONE, EVEN)
    assert found.tenths == pytest.approx(row, abs=1.5e-3)
    assert found.total == pytest.approx(0.828, abs=1.5e-3)
    assert found.kind == "neither"
    undone = density(theirs.model_copy(update={"gamma": 0.0}), ALL, NONE, EVEN)
    assert undone.total == pytest.approx(1)
    assert undone.tenths == pytest.approx([0.095, 0.505, 0, 0, 0, 0, 0.012, 0.094, 0.187, 0.106], abs=1.5e-3)


@pytest.mark.parametrize(
    ("schedule", "row", "total"),
    [
        (BimodalGaussian(), [0.059, 0.099, 0, 0, 0.069, 0.1, 0.1, 0.1, 0.1, 0.1], 0.727),
        (Gaussian(), [0, 0.009, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.09], 0.80),
    ],
    ids=lambda each: getattr(each, "name", ""),
)
def test_what_narrow_schedules_leave_out(schedule, row, total):
    found = density(schedule, ALL, NONE, EVEN)
    assert found.tenths == pytest.approx(row, abs=1e-3)
    assert found.total == pytest.approx(total, abs=1e-3)
    assert found.kind == "neither"


@pytest.mark.parametrize(
    ("schedule", "weight", "clip", "kind"),
    [
        *((each, NONE, ALL, "bound") for each in (LogLinear(), Square(), Cosine(), CosineMd4(), Poly(n=3))),
        *((LogLinear(), each, ALL, "sum of bounds") for each in (Sigmoid(k=-1), Simple(), FlowMatching())),
        *((LogLinear(), each, ALL, "neither") for each in (Edm(), Iddpm())),
        (Cosine(), Simple(), ALL, "sum of bounds"),
        (LogLinear(), NONE, Clip(low=0.1), "sum of bounds"),
        (LogLinear(), NONE, Clip(low=0.3, high=0.8), "neither"),
        (Gaussian(sigma=2), NONE, ALL, "bound"),
        (Gaussian(sigma=2, gamma=0.5), NONE, ALL, "neither"),
    ],
    ids=str,
)
def test_whether_it_is_a_bound(schedule, weight, clip, kind):
    assert density(schedule, clip, weight, EVEN).kind == kind


@settings(deadline=None, max_examples=20)
@given(weight=weights, low=st.floats(0, 0.6), schedule=st.sampled_from([LogLinear(), Cosine(), Poly(n=3)]))
def test_the_bounds_that_it_is_made_of_sum_to_it(weight, low, schedule):
    found = density(schedule, Clip(low=low), weight, EVEN)
    np.testing.assert_allclose(np.cumsum(found.bounds_K), found.d_K, atol=1e-9 * found.total)
    s_K = np.arange(FINE) / FINE
    assert np.sum(found.bounds_K * (1 - s_K)) == pytest.approx(np.mean(found.d_K))
    if found.kind != "neither":
        assert found.bounds_K.min() >= -1e-3 * found.d_K.max()
    if weight == Sigmoid(k=0):
        np.testing.assert_allclose(found.bounds_K[60:], 0.01 / (1 - max(low, 1e-3)), rtol=1e-4)


def test_the_decomposition_of_a_weight_that_is_the_rate_is_even():
    """w = p: every B_s counts alike (Shi & Titsias 2025)."""
    found = density(LogLinear(), ALL, Sigmoid(k=0), EVEN)
    np.testing.assert_allclose(found.bounds_K[2:], 0.01 / 0.999, rtol=1e-6)


@settings(deadline=None, max_examples=20)
@given(
    k=st.floats(-5, 5),
    heights=heights,
    low=st.floats(1e-3, 0.009),
    schedule=st.sampled_from([LogLinear(), CosineMd4(), Poly(n=0.5), Poly(n=0.8)]),
    time=st.sampled_from([EVEN, BellTime(), TableTime(heights=(1.0, 3.0, 1.0))]),
)
def test_the_bound_itself_weighs_what_the_density_begins_with(k, heights, low, schedule, time):
    """d at the lowest rate that is drawn, by the weight's formula: where it covers, d is the weight."""
    names = ("d0", "d20", "d40", "d60", "d80", "d100")
    curve = Curve(**dict(zip(names, heights, strict=True)), rises=True, normalize=False)
    lowest = schedules_slowly.move_chance(schedule, low, 1.0)
    for each in (Sigmoid(k=k), curve, FlowMatching(), NONE):
        found = density(schedule, Clip(low=low), each, time)
        begins = slow_weight(each, lowest, 1.0) / (1 - low)
        if lowest < 1 / FINE:
            assert found.bound == pytest.approx(min(begins, found.d_K[0]), rel=1e-3)
        else:
            assert found.bound == 0


def test_of_a_weight_that_is_the_rate_the_bound_itself_is_next_to_nothing():
    found = density(LogLinear(), ALL, Sigmoid(k=0), EVEN)
    assert found.bound == pytest.approx(1e-3 / 0.999, rel=1e-3)
    assert density(LogLinear(), Clip(low=0.1), NONE, EVEN).bound == 0
    assert density(Cosine(), ALL, NONE, EVEN).bound == pytest.approx(1 / 0.999, rel=1e-3)


def test_equal_mirrored_and_other_objectives_are_told_apart():
    def of(schedule, weight=NONE, clip=ALL, time=EVEN):
        return density(schedule, clip, weight, time)

    assert of(LogLinear()).same(of(Cosine()))
    assert of(LogLinear()).same(of(CosineMd4()))
    assert of(LogLinear(), Simple()).same(of(Cosine(), Sigmoid(k=0)))
    assert of(Square()).same(of(Poly(n=2)))
    assert not of(Cosine(), Simple()).same(of(CosineMd4(), Simple()))
    assert of(Cosine()).mirrors(of(CosineMd4()))
    assert not of(LogLinear()).mirrors(of(LogLinear())), "its own mirror image"
    assert of(Cosine(), Simple()).distance(of(CosineMd4(), Simple())) > 0.2
    assert of(LogLinear(), Sigmoid(normalize=True)).distance(of(LogLinear(), Sigmoid())) < 1e-9


def test_measured_totals_of_simple():
    """As the public code of MD4 has its cosine: .637, of which .277 in the top bin; MDLM's .363 and .061."""
    md4, mdlm, linear = (density(each, ALL, Simple(), EVEN) for each in (CosineMd4(), Cosine(), LogLinear()))
    assert [md4.total, mdlm.total, linear.total] == pytest.approx([0.637, 0.363, 0.5], abs=1.5e-3)
    assert [md4.tenths[-1], mdlm.tenths[-1]] == pytest.approx([0.277, 0.061], abs=1.5e-3)


def test_variance_is_infinite_where_it_is():
    def infinite(schedule, weight):
        return math.isinf(density(schedule, ALL, weight, EVEN).variance_factor(16))

    assert infinite(LogLinear(), FlowMatching())
    assert infinite(Cosine(), FlowMatching())
    assert not infinite(CosineMd4(), FlowMatching()), "it slows down towards p = 1"
    assert not any(infinite(LogLinear(), each) for each in (NONE, Edm(), Iddpm(), Sigmoid(k=5), Simple()))
    assert not infinite(Gaussian(), NONE), "large, and finite: its quantile is clamped"


def test_the_variance_factor_of_loglinear():
    """E[1/t] over (1e-3, 1) of a token, which the page says is 6.9; 1 of an endless block."""
    found = density(LogLinear(), ALL, NONE, EVEN)
    assert found.variance_factor(1) == pytest.approx(math.log(1000) / 0.999 / found.total**2, rel=1e-9)
    assert found.variance_factor(10**9) == pytest.approx(1 / found.total**2, rel=1e-6)
