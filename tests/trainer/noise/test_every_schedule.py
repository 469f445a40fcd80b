"""What holds of every schedule in the union, at any values of its fields: to stand there is to be tested."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.random_settings import settings_of
from trainer.noise.clips import FIRST_TIME
from trainer.noise.schedules import SCHEDULES, NoiseSchedule
from trainer.values import kind_of, named

MANY = settings(deadline=None, max_examples=50)
every_schedule = pytest.mark.parametrize("kind", SCHEDULES, ids=kind_of)
shares = st.floats(0, 1)

# The times that training draws, and those beside the first and the last.
DRAWN = np.unique(
    np.concatenate(
        [np.linspace(FIRST_TIME, 1, 501), 1 - np.logspace(-12, -2, 50), FIRST_TIME + np.logspace(-12, -2, 50)]
    )
)


class Branch:
    """A stretch of time on which p rises; p(t), and p'(t) by differences."""

    def __init__(self, schedule: NoiseSchedule, ends: tuple[float, float], progress: float):
        self.schedule, self.progress = schedule, progress
        self.low, self.high = ends
        # A kink, at 1/2 say, is no point of it.
        self.t = self.low + (self.high - self.low) * np.linspace(0.0207, 0.9813, 33)

    def p(self, t: np.ndarray) -> np.ndarray:
        return self.schedule(t, self.progress).move_chance

    def slope(self, t: np.ndarray, step: float = 1e-3) -> np.ndarray:
        """Central differences of the fourth order; step is a share of the way to the nearer end."""
        h = step * np.minimum(t - self.low, self.high - t)
        near, far = self.p(t + h) - self.p(t - h), self.p(t + 2 * h) - self.p(t - 2 * h)
        return (8 * near - far) / (12 * h)

    def smooth(self, t: np.ndarray) -> np.ndarray:
        """Where p moves, and no kink of a clamp lies between the points of a difference."""
        slope = self.slope(t)
        return (slope > 0) & np.isclose(slope, self.slope(t, 5e-4), rtol=1e-5, atol=0)

    def time(self, p: np.ndarray) -> np.ndarray:
        """At which it is p, by bisection."""
        low, high = np.full_like(p, self.low), np.full_like(p, self.high)
        for _ in range(100):
            middle = (low + high) / 2
            under = self.p(middle) < p
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return (low + high) / 2

    def reaches(self, p: np.ndarray) -> np.ndarray:
        first, *_, last = self.p(self.t)
        return (first < p) & (p < last)


@MANY
@every_schedule
@given(data=st.data(), progress=shares)
def test_what_is_charged_is_the_derivative(kind, data, progress):
    """loss_scale * p = p', but where a clamp holds p still. Of several branches it may instead be 1 / q(p), q
    being the density of all of them together: 1 / p' summed over those that reach p. p' is by the time within
    the part of the schedule on which a clip acts; where there is a gamma, it is raised to it."""
    schedule = data.draw(settings_of(kind))
    gamma = getattr(schedule, "gamma", 1.0)
    branches = [Branch(schedule, ends, progress) for ends in schedule.branches]
    own, mixed = [], []
    for branch in branches:
        p, slope = branch.p(branch.t), branch.slope(branch.t)
        smooth = branch.smooth(branch.t)
        assert np.count_nonzero((slope > 0) & ~smooth) <= 4, "p has no more kinks than two clamps make"
        charged = schedule(branch.t, progress).loss_scale * p
        width = sum(b - a for a, b in schedule.parts if a <= branch.low and branch.high <= b)
        own.append(np.allclose(charged[smooth], (slope[smooth] * width) ** gamma, rtol=1e-4, atol=0))
        reached = [other.reaches(p) & other.smooth(other.time(p)) for other in branches]
        common = smooth & np.all(reached, axis=0)
        density = sum(1 / other.slope(other.time(p[common])) for other in branches)
        mixed.append(
            np.allclose(charged[common], density**-gamma, rtol=1e-3, atol=0)
            and bool(np.all(charged[smooth] <= slope[smooth] ** gamma * (1 + 1e-6)))
        )
    assert all(own) or (len(branches) > 1 and all(mixed))


@MANY
@every_schedule
@given(data=st.data(), progress=shares, t=st.floats(FIRST_TIME, 1))
def test_p_is_a_probability_that_rises_and_what_is_charged_is_finite(kind, data, progress, t):
    schedule = data.draw(settings_of(kind))
    level = schedule(np.append(DRAWN, t), progress)
    for each in (level.move_chance, level.loss_scale, level.log_snr):
        assert np.all(np.isfinite(each))
    assert np.all((level.move_chance > 0) & (level.move_chance <= 1))
    assert np.all(level.loss_scale > 0)
    for low, high in schedule.branches:
        p = schedule(np.linspace(low, high, 501)[1:-1], progress).move_chance
        assert np.all(np.diff(p) >= 0)


@MANY
@every_schedule
@given(data=st.data(), progress=shares)
def test_the_branches_are_the_whole_of_time_and_p_is_one_curve_on_each(kind, data, progress):
    """Towards both ends, too: p tends to something in [0, 1], the first at 0, the last at 1."""
    schedule = data.draw(settings_of(kind))
    edges = [end for ends in schedule.branches for end in ends]
    assert (edges[0], edges[-1]) == (0, 1)
    assert edges[1:-1:2] == edges[2:-1:2]
    for low, high in schedule.branches:
        near = np.geomspace(1e-12, 0.4, 40)
        t = np.concatenate([low + (high - low) * near, high - (high - low) * near[::-1]])
        p = schedule(t[(t > low) & (t < high)], progress).move_chance
        assert np.all((p >= 0) & (p <= 1))
        assert np.all(np.diff(p) >= 0)
    at_1 = schedule(1.0, progress)
    assert p[-1] <= at_1.move_chance + 1e-9 <= 1 + 1e-9


@MANY
@every_schedule
@given(data=st.data(), progress=shares)
def test_a_float_an_array_and_a_tensor_are_one(kind, data, progress):
    schedule = data.draw(settings_of(kind))
    of_numpy, of_torch = schedule(DRAWN, progress), schedule(torch.from_numpy(DRAWN), progress)
    half = schedule(torch.from_numpy(DRAWN).float(), progress)
    again = schedule(torch.from_numpy(DRAWN).float().double(), progress)
    for name in ("move_chance", "loss_scale", "log_snr"):
        np.testing.assert_allclose(getattr(of_torch, name).numpy(), getattr(of_numpy, name), rtol=1e-7)
    for single, double in zip(half, again, strict=True):
        assert torch.equal(single, double.float()), "computed in float64, whatever comes in"
    of_float = schedule(0.37, progress)
    assert [type(each) for each in of_float] == [float, float]
    assert of_float.move_chance == schedule(np.array([0.37]), progress).move_chance[0]


@every_schedule
def test_it_is_chosen_by_its_name_alone_and_says_whether_it_moves(kind):
    schedule = kind()
    assert named(schedule.name, SCHEDULES) is kind
    t = np.linspace(0.01, 0.99, 99)
    assert schedule.moves == any(
        not np.array_equal(a, b) for a, b in zip(schedule(t, 0.0), schedule(t, 1.0), strict=True)
    )
