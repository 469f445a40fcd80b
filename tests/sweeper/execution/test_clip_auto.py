"""clip: auto in a sweep: fixed, as a baseline, and as one choice beside bounds that are searched."""

import pytest

from sweeper.spec.load import read_spec
from sweeper.spec.spec import SweepSpec
from sweeper.spec.yaml_source import InvalidSpec
from trainer.noise.clips import AutoClip, Clip

SPACE = "search: {trials: 2}\nspace:\n  finetune.block_size: {choice: [4, 8]}\n"


def spec(text: str) -> SweepSpec:
    return read_spec(SPACE + text, "x.yaml", "x")


@pytest.mark.parametrize(
    "text",
    [
        "finetune.clip: auto",
        "finetune: {clip: auto}",
        "finetune.clip.name: auto",
        "finetune.clip: {name: auto}",
    ],
)
def test_every_way_to_say_it_is_the_same(text: str) -> None:
    read = spec(f"trainer: {{{text}}}\n")
    assert read.trainer == {"finetune.clip.name": "auto"}
    assert read.train_config({"finetune.block_size": 4}, 0).finetune.clip == AutoClip()
    assert SweepSpec.from_resolved(read.resolved(), read.text) == read


def test_its_settings() -> None:
    read = spec("trainer: {finetune.clip: {name: auto, widths: [0.5, 0.8], step: 0.1, adopt: false}}\n")
    clip = read.train_config({"finetune.block_size": 4}, 0).finetune.clip
    assert clip == AutoClip(widths=(0.5, 0.8), step=0.1, adopt=False)
    assert SweepSpec.from_resolved(read.resolved(), read.text) == read


def test_as_a_baseline_and_from_the_command_line() -> None:
    read = spec("always:\n  - {finetune.block_size: 4}\n  - {finetune.block_size: 4, finetune.clip: auto}\n")
    clips = [read.train_config(entry, 0).finetune.clip for entry in read.always]
    assert clips == [Clip(), AutoClip()]
    said = "trainer: {finetune.clip.low: 0.3, finetune.clip.high: 0.8}\n"
    over = read_spec(SPACE + said, "x.yaml", "x", ["trainer.finetune.clip=auto"])
    assert over.trainer == {"finetune.clip.name": "auto"}
    with pytest.raises(InvalidSpec, match=r"always\[1\]: the same run as always\[0\]"):
        spec(
            "always:\n  - {finetune.block_size: 4, finetune.clip: auto}\n"
            "  - {finetune.block_size: 4, finetune.clip.name: auto}\n"
        )


def test_beside_bounds_that_are_searched() -> None:
    read = spec(
        "  finetune.clip.name: {choice: [fixed, auto]}\n"
        "  finetune.clip.low: {uniform: [0.0, 0.4], when: {finetune.clip.name: fixed}}\n"
    )
    point = {"finetune.block_size": 4, "finetune.clip.name": "fixed", "finetune.clip.low": 0.2}
    assert read.train_config(point, 0).finetune.clip == Clip(low=0.2)
    assert read.train_config({**point, "finetune.clip.name": "auto", "finetune.clip.low": 0}, 0)


LEAVE_OUT = "finetune.clip: auto finds low and high itself: leave them out, or say adopt: false"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "  finetune.clip.low: {uniform: [0.0, 0.4]}\ntrainer: {finetune.clip: auto}\n",
            f"x.yaml:4:3: {LEAVE_OUT} (where finetune.clip.low is 0.4)",
        ),
        ("trainer: {finetune.clip: {name: auto, high: 0.8}}\n", f"x.yaml:4:11: {LEAVE_OUT}"),
        (
            "trainer: {finetune.clip: wide}\n",
            "x.yaml:4:11: finetune.clip.name: 'wide' is none of fixed, auto",
        ),
        (
            "  finetune.clip.name: {choice: [fixed, auto]}\n  finetune.clip.adopt: {choice: [true, false]}\n",
            "x.yaml:5:34: finetune.clip.adopt: not a field of fixed",
        ),
    ],
)
def test_what_makes_no_sense_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        spec(text)
    assert str(caught.value).startswith(sentence)
