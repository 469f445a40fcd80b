"""What holds of every weight in the union, at any values of its fields: to stand there is to be tested."""

from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.reference.weights import weight as slow_weight
from tests.trainer.random_settings import any_of, settings_of
from trainer.noise.clips import Clip
from trainer.noise.reweighting import REWEIGHTINGS, mean_weight, normalizer
from trainer.noise.schedules import SCHEDULES, Gaussian, NoiseLevel
from trainer.values import kind_of, named

MANY = settings(deadline=None, max_examples=50)
every_weight = pytest.mark.parametrize("kind", REWEIGHTINGS, ids=kind_of)
rates = st.lists(st.floats(0, 1) | st.floats(-30, -1).map(np.exp), min_size=1, max_size=20).map(np.array)
scales = st.floats(1e-3, 1e5)
clips = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda ends: Clip(low=min(ends), high=max(ends)))

# An integral over (0, 1) of what may have poles at both ends: tanh-sinh (Takahasi and Mori 1974).
_X = np.linspace(-4.2, 4.2, 8401)
NODES = (1 + np.tanh(np.pi / 2 * np.sinh(_X))) / 2
WEIGHTS = np.cosh(_X) / np.cosh(np.pi / 2 * np.sinh(_X)) ** 2


@MANY
@every_weight
@given(data=st.data(), p=rates, scale=scales)
def test_it_is_finite_and_never_negative_and_each_block_has_its_own(kind, data, p, scale):
    weight = data.draw(settings_of(kind))
    w = weight.weight(NoiseLevel(p, np.full_like(p, scale)))
    assert w.shape == p.shape
    assert np.all(np.isfinite(w) & (w >= 0))
    alone = [weight.weight(NoiseLevel(float(each), scale)) for each in p]
    assert w.tolist() == pytest.approx(alone, rel=1e-12)
    assert isinstance(weight.weight(NoiseLevel(0.5, scale)), float)


@MANY
@every_weight
@given(data=st.data(), p=rates, scale=scales)
def test_an_array_and_a_tensor_are_one(kind, data, p, scale):
    weight = data.draw(settings_of(kind))
    of_numpy = weight.weight(NoiseLevel(p, np.full_like(p, scale)))
    of_torch = weight.weight(NoiseLevel(torch.from_numpy(p), torch.full_like(torch.from_numpy(p), scale)))
    np.testing.assert_allclose(of_torch.numpy(), of_numpy, rtol=1e-9)
    single = torch.from_numpy(p).float()
    assert weight.weight(NoiseLevel(single, torch.full_like(single, scale))).dtype == torch.float32


@MANY
@every_weight
@given(data=st.data(), p=rates, scale=scales)
def test_it_is_its_formula_where_that_is_written_down(kind, data, p, scale):
    weight = data.draw(settings_of(kind))
    try:
        expected = [slow_weight(weight, float(each), scale) for each in p]
    except NotImplementedError:
        pytest.skip("tests/reference/weights.py does not have it")
    assert weight.weight(NoiseLevel(p, np.full_like(p, scale))).tolist() == pytest.approx(expected, rel=1e-6)


@MANY
@every_weight
@given(data=st.data(), schedule=any_of(SCHEDULES), clip=clips, progress=st.floats(0, 1))
def test_the_normalizer_is_its_mean_by_another_quadrature(kind, data, schedule, clip, progress):
    """E_t[w loss_scale p] / E_t[loss_scale p], each branch by itself."""
    weight = data.draw(settings_of(kind))
    low, high = clip.time(0.0), clip.time(1.0)
    assume(high - low > 1e-6)
    assume(not schedule.stands)  # kinks: the next test
    weighted, plain = 0.0, 0.0
    for first, last in schedule.parts:
        width = last - first
        inside = [((a - first) / width, (b - first) / width) for a, b in schedule.branches]
        for start, end in ((max(a, low), min(b, high)) for a, b in inside if a < high and b > low):
            share = ((start - low) + (end - start) * NODES) / (high - low)
            level = clip.level(schedule, first + width * share, progress)
            mass = width * (end - start) * WEIGHTS * level.loss_scale * level.move_chance
            weighted += np.sum(mass * weight.weight(level))
            plain += np.sum(mass)
    # Where a narrow branch makes a dip in a wide one's loss_scale, the panels may be wider than the dip.
    mean = pytest.approx(weighted / plain, rel=1e-3 if len(schedule.branches) == 1 else 0.05)
    assert mean_weight(weight, schedule, clip, progress) == mean
    may_be_asked = "normalize" in kind.model_fields
    for asked in (False, True)[: 1 + may_be_asked]:
        said = weight.model_copy(update={"normalize": asked} if may_be_asked else {})
        assert normalizer(said, schedule, clip, progress) == (mean if asked else 1.0)


@MANY
@every_weight
@given(data=st.data(), mu=st.floats(0, 1), sigma=st.floats(0.05, 2), w=st.floats(0.2, 0.8))
def test_the_normalizer_knows_where_p_stands_still(kind, data, mu, sigma, w):
    """Of a normal whose outside is kept at p_min and at 1: the parts by themselves."""
    weight = data.draw(settings_of(kind))
    schedule = Gaussian(mu=mu, sigma=sigma, outside="kept", gamma=w)
    a, b = Clip().time(0.0), 1.0
    ends = [max((p - mu) / sigma, -4.753424) for p in (schedule.p_min, 1.0)]
    t_ends = [min(max(NormalDist().cdf(z), a), b) for z in ends]
    weighted, plain = 0.0, 0.0
    for start, end in pairwise(sorted({a, *t_ends, 1 - schedule.u_eps, b})):
        level = schedule(start + (end - start) * NODES)
        mass = (end - start) * WEIGHTS * level.loss_scale * level.move_chance
        weighted += np.sum(mass * weight.weight(level))
        plain += np.sum(mass)
    assert mean_weight(weight, schedule, Clip()) == pytest.approx(weighted / plain, rel=1e-3)


@every_weight
def test_it_is_chosen_by_its_name_alone(kind):
    assert named(kind().name, REWEIGHTINGS) is kind
