"""Clips: bounds on time, as they are written, kept and refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig, content_hash
from trainer.noise.clips import AnyClip, AutoClip, Clip
from trainer.noise.schedules import SCHEDULES, Cosine

CLIPS = TypeAdapter(AnyClip)


def test_clip_bounds_time():
    clip = Clip(low=0.3, high=0.8)
    assert clip.time(0.0) == 0.3
    assert clip.time(1.0) == pytest.approx(0.8)
    assert clip.time(np.array([0.5])) == pytest.approx([0.55])
    assert torch.equal(clip.time(torch.tensor([0.0])), torch.tensor([0.3]))
    assert Clip().time(0.0) == 1e-3
    assert Clip().time(1.0) == 1
    assert Clip(high=0).time(1.0) == 1e-3
    schedule = Cosine()
    assert clip.level(schedule, 0.5) == schedule(0.55)  # no factor high - low


@settings(deadline=None)
@given(bounds=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted), u=st.floats(0, 1, width=32))
def test_clip_stays_within_its_bounds(bounds, u):
    clip = Clip(low=bounds[0], high=bounds[1])
    assert max(bounds[0], 1e-3) - 1e-12 <= clip.time(u) <= max(bounds[1], 1e-3) + 1e-12
    t = clip.time(torch.tensor([u], dtype=torch.float32))
    assert 0 < t.item() <= 1


@pytest.mark.parametrize("schedule", [each() for each in SCHEDULES], ids=str)
def test_clip_1_1_masks_everything_at_scale_1(schedule):
    level = Clip(low=1, high=1).level(schedule, torch.rand(2, 3))
    assert torch.equal(level.move_chance, torch.ones(2, 3))
    assert torch.equal(level.loss_scale, torch.ones(2, 3))


def test_clip_refuses_low_above_high():
    with pytest.raises(ValidationError, match=r"low 0.8 is above high 0.2"):
        Clip(low=0.8, high=0.2)


def test_a_clip_without_a_name_is_fixed_and_written_without_one():
    for raw in ({}, {"low": 0.3, "high": 0.8}, {"name": "fixed", "low": 0.3, "high": 0.8}):
        clip = CLIPS.validate_python(raw)
        assert clip == Clip(**raw)
        assert set(clip.model_dump()) == {"low", "high"}
        assert CLIPS.validate_python(clip.model_dump()) == clip
    assert CLIPS.validate_python("auto") == CLIPS.validate_python({"name": "auto"}) == AutoClip()
    assert CLIPS.validate_python(AutoClip(widths=0.5).model_dump()) == AutoClip(widths=(0.5,))


def test_names_and_hashes_of_configurations_are_what_they_were():
    """Sweeps stored before clip: auto came are still found. Pretrains, by the first name, are of trainer
    version 2: attention in tiles and cross-entropy in pieces moved the last digits of version 1's."""
    before = {
        (): ("4574940a1638bebc", "0ef30ada15e2cc96"),
        (("finetune.clip.low", 0.3), ("finetune.clip.high", 0.8)): ("4574940a1638bebc", "e49b886c861811e1"),
        (("pretrain.steps", 10), ("pretrain.clip.low", 0.2)): ("81f34e12bb097518", "4ea02ce7188afad7"),
    }
    for values, (stage, content) in before.items():
        run = TrainConfig.from_dotted(dict(values))
        assert (run.stage_key(), content_hash(run.content())) == (stage, content), values
        auto = TrainConfig.from_dotted({"finetune.clip": "auto"})
        assert content_hash(auto.content()) != content


@pytest.mark.parametrize(
    ("clip", "sentence"),
    [
        ({"name": "auto", "low": 0.2}, "auto finds low and high itself: leave them out, or say adopt: false"),
        ({"name": "auto", "step": 0.3}, "step 0.3 does not divide 1"),
        ({"name": "auto", "widths": [0.52]}, "width 0.52 is not a number of steps of 0.05 from 0 to 1"),
        ({"name": "auto", "widths": [1.05]}, "width 1.05 is not a number of steps of 0.05 from 0 to 1"),
        ({"name": "auto", "widths": []}, "widths names none: there is nothing to try"),
        ({"name": "auto", "adopt": False, "low": 0.8, "high": 0.2}, "low 0.8 is above high 0.2"),
        ("wide", "'wide' is none of fixed, auto"),
        ({"widths": [0.5]}, "missing, but needed for finetune.clip.widths"),
        (3, "3 is a value, and finetune.clip a group of values"),
    ],
    ids=str,
)
def test_a_clip_that_cannot_be_is_a_sentence(clip, sentence):
    with pytest.raises(InvalidConfig) as caught:
        TrainConfig.from_dotted({"finetune.clip": clip})
    (problem,) = caught.value.problems
    assert problem.key.startswith("finetune.clip")
    assert problem.sentence == sentence


def test_what_has_no_evaluations_or_no_noise_searches_no_clip():
    for values, key in (
        ({"pretrain.clip": "auto"}, "pretrain.clip"),
        ({"objective.name": "ar", "finetune.clip": "auto"}, "finetune.clip"),
    ):
        with pytest.raises(InvalidConfig) as caught:
            TrainConfig.from_dotted(values)
        assert [problem.key for problem in caught.value.problems] == [key]


def test_a_clip_that_is_searched_begins_with_its_bounds():
    assert AutoClip().level(Cosine(), 0.3) == Clip().level(Cosine(), 0.3)
    telling = AutoClip(adopt=False, low=0.3, high=0.8)
    assert telling.time(0.5) == Clip(low=0.3, high=0.8).time(0.5)
