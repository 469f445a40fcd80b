"""Every schedule of the learning rate in the union, at random parameters, and against transformers' own."""

from itertools import pairwise
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.optimization import get_cosine_with_min_lr_schedule_with_warmup, get_wsd_schedule

from tests.trainer.random_settings import any_of
from trainer.settings.learning_rate import SHAPES, AnyLrSchedule, ConstantRate, CosineRate, WarmupStableDecay
from trainer.settings.phase import Finetune
from trainer.training.learner import learning_rate
from trainer.values import kinds

SCHEDULES = kinds(AnyLrSchedule)


def rates(schedule, steps, warmup=0.0):
    phase = Finetune(block_size=4, lr=1.0, steps=steps, warmup=warmup, lr_schedule=schedule)
    return [learning_rate(phase, step) for step in range(1, steps + 1)]


def transformers_rates(make, steps, **given):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer, **given)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@given(any_of(SCHEDULES), st.integers(1, 200), st.floats(0, 0.5))
def test_behind_its_warm_up_it_never_rises_and_stays_within_the_peak(schedule, steps, warmup):
    found = rates(schedule, steps, warmup)
    final = getattr(schedule, "final", 0.0)
    assert all(0 <= rate <= 1 for rate in found)
    warm = round(warmup * steps)
    behind = found[max(0, warm - 1) :]
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(behind))
    assert all(rate >= final - 1e-12 for rate in found[warm:])


@given(st.integers(1, 100), st.floats(0, 1))
def test_what_was_always_there_is_the_same_to_the_bit(steps, warmup):
    warm = max(1, round(warmup * steps if warmup < 1 else warmup))
    assert rates(ConstantRate(), steps, warmup) == [min(1.0, step / warm) for step in range(1, steps + 1)]


@pytest.mark.parametrize("shape", SHAPES)
@settings(deadline=None)
@given(steps=st.integers(1, 60), decay=st.floats(0.05, 1), final=st.floats(0, 0.9))
def test_wsd_is_that_of_transformers(shape, steps, decay, final):
    schedule = WarmupStableDecay(decay=decay, shape=shape, final=final)
    decaying = max(1, round(decay * steps))
    theirs = transformers_rates(
        get_wsd_schedule,
        steps,
        num_warmup_steps=0,
        num_stable_steps=steps - decaying,
        num_decay_steps=decaying,
        decay_type=shape,
        min_lr_ratio=final,
    )
    assert rates(schedule, steps) == pytest.approx(theirs, abs=1e-9)


@settings(deadline=None)
@given(steps=st.integers(1, 60), final=st.floats(0.01, 0.9))
def test_the_cosine_is_that_of_transformers(steps, final):
    theirs = transformers_rates(
        get_cosine_with_min_lr_schedule_with_warmup,
        steps,
        num_warmup_steps=0,
        num_training_steps=steps,
        min_lr_rate=final,
    )
    assert rates(CosineRate(final=final), steps) == pytest.approx(theirs, abs=1e-9)


def test_every_shape_can_be_said():
    assert set(get_args(WarmupStableDecay.model_fields["shape"].annotation)) == set(SHAPES)
    assert {shape: (of(0.0), of(1.0)) for shape, of in SHAPES.items()} == dict.fromkeys(SHAPES, (1.0, 0.0))


def test_a_decay_alone_begins_at_the_rate_that_the_stable_part_ended_with():
    branch = rates(WarmupStableDecay(decay=1, shape="linear"), 4)
    assert branch == pytest.approx([1.0, 0.75, 0.5, 0.25])


@given(any_of(SCHEDULES), st.integers(1, 100), st.integers(0, 100), st.integers(0, 20))
def test_the_stable_part_has_the_rates_of_a_constant_one_to_the_bit(schedule, steps, more, warmup):
    stable = schedule.stable(steps)
    assert 0 <= stable <= steps
    for given_steps in (steps, steps + more):
        assert rates(schedule, given_steps, warmup)[:stable] == rates(ConstantRate(), steps, warmup)[:stable]
