"""The curves of a configuration's noise that the dashboard draws: every schedule and weight, any values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.noise import noise_shape
from tests.trainer.random_settings import any_of, settings_of
from trainer.noise.clips import AnyClip
from trainer.noise.reweighting import REWEIGHTINGS
from trainer.noise.schedules import SCHEDULES
from trainer.values import flatten, kind_of, kinds

SOME = settings(deadline=None, max_examples=20)
clips = any_of(kinds(AnyClip))
shares = st.floats(0, 1)


def drawn(schedule, weight, clip, progress):
    """From values as the store has them; every curve is finite, and the density is one."""
    noise = {"schedule": schedule, "reweighting": weight, "clip": clip}
    stored = flatten({"finetune": {part: each.model_dump(mode="json") for part, each in noise.items()}})
    shape = noise_shape({"finetune.lr": 1e-3, **stored}, progress)
    curves = {name: each for name, each in shape._asdict().items() if isinstance(each, np.ndarray)}
    assert [name for name, curve in curves.items() if not np.all(np.isfinite(curve))] == []
    assert [name for name, curve in curves.items() if np.any(curve < 0)] == []
    assert len({len(shape.t), len(shape.move_chance), len(shape.loss_scale), len(shape.weight)}) == 1
    assert len({len(shape.p), len(shape.density), len(shape.emphasis)}) == 1
    assert np.mean(shape.density) == pytest.approx(1)
    assert shape.moves == schedule.moves


@SOME
@pytest.mark.parametrize("kind", SCHEDULES, ids=kind_of)
@given(data=st.data(), weight=any_of(REWEIGHTINGS), clip=clips, progress=shares)
def test_every_schedule_can_be_drawn(kind, data, weight, clip, progress):
    drawn(data.draw(settings_of(kind)), weight, clip, progress)


@SOME
@pytest.mark.parametrize("kind", REWEIGHTINGS, ids=kind_of)
@given(data=st.data(), schedule=any_of(SCHEDULES), clip=clips, progress=shares)
def test_every_weight_can_be_drawn(kind, data, schedule, clip, progress):
    drawn(schedule, data.draw(settings_of(kind)), clip, progress)


def test_the_total_is_the_integral_of_the_emphasis_and_times_move_what_is_drawn_alone():
    plain, bell = noise_shape({}), noise_shape({"finetune.time.name": "bell", "finetune.time.sigma": 0.3})
    free = noise_shape({"finetune.time.name": "bell", "finetune.time.importance": False})
    for each in (plain, bell, free):
        assert np.mean(each.emphasis) == pytest.approx(each.total, abs=1e-3)
    np.testing.assert_allclose(bell.emphasis, plain.emphasis, atol=0.01)
    assert np.abs(bell.density - plain.density).max() > 0.2
    assert [plain.kind, bell.kind, free.kind] == ["bound", "bound", "neither"]


def test_the_tail_of_a_schedule_is_as_smooth_as_the_bound_that_it_is_charged_as():
    """Few of the times drawn are masked that much, and each is charged as much more: 1 at every rate."""
    tail = noise_shape({"finetune.schedule.name": "gaussian", "finetune.schedule.mu": 0.45})
    inside = (tail.p > 0.15) & (tail.p < 0.92)  # beyond it `u_eps` holds all that is left
    assert tail.emphasis[inside] == pytest.approx(tail.emphasis[50], rel=1e-3)


def test_thirds_of_a_hundred_bins():
    assert noise_shape({}).thirds() == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=1e-3)
