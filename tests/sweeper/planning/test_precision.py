"""All trials of a sweep are computed in one precision, whatever machine goes on with it."""

import pytest

from sweeper.planning import precision
from sweeper.planning.precision import in_one_precision
from sweeper.spec.load import read_spec
from sweeper.spec.spec import SweepSpec, differences
from sweeper.spec.yaml_source import InvalidSpec
from sweeper.words import PRECISION, in_precisions

TEXT = """
trainer: {data: {name: pydocs, length: 32}}
space:
  finetune.lr: {log_uniform: [1e-4, 1e-2]}
search: {trials: 2}
"""


def spec_of(text: str = TEXT, *overrides: str) -> SweepSpec:
    return read_spec(text, "given.yaml", "given", overrides)


def test_a_new_sweep_is_asked_for_once_and_its_trials_say_so():
    spec = in_one_precision(spec_of(), None, lambda _: "bfloat16")
    assert spec.trainer[PRECISION] == "bfloat16"
    assert spec.train_config({"finetune.lr": 1e-3}, seed=0).compute.precision == "bfloat16"


def test_a_sweep_goes_on_in_its_own_precision_where_another_would_be_chosen():
    stored = in_one_precision(spec_of(), None, lambda _: "bfloat16")
    again = in_one_precision(spec_of(), stored, lambda _: "float32")
    assert again.trainer[PRECISION] == "bfloat16"
    assert not differences(stored.resolved(), again.resolved())


def test_another_precision_is_another_sweep():
    stored = in_one_precision(spec_of(), None, lambda _: "bfloat16")
    other = in_one_precision(spec_of(TEXT, f"trainer.{PRECISION}=float32"), stored)
    assert differences(stored.resolved(), other.resolved()) == [f"trainer.{PRECISION}: bfloat16 -> float32"]


def test_a_sweep_from_before_this_was_known_stays_the_same_sweep():
    before = spec_of()
    assert PRECISION not in before.trainer
    assert in_one_precision(spec_of(), before, lambda _: "bfloat16") == before


def test_what_the_spec_says_is_not_asked_for():
    spec = spec_of(TEXT, f"trainer.{PRECISION}=bfloat16")
    assert in_one_precision(spec, None, pytest.fail) is spec


def test_a_sweep_that_never_said_it_goes_on_in_what_its_trials_had():
    """Whatever the rule says on the machine that goes on with it: in the same configurations."""
    before = spec_of()
    for evaluated, expected in (({}, "float32"), ({"float32": 2, "bfloat16": 3}, "bfloat16")):
        spec = precision.as_it_had(before, evaluated)
        assert spec.train_config({"finetune.lr": 1e-3}, seed=0).compute.precision == expected
    float32 = precision.as_it_had(before, {"float32": 4})
    old, new = (each.train_config({"finetune.lr": 1e-3}, seed=0) for each in (before, float32))
    assert old.content() == new.content()
    assert old.stage_key() == new.stage_key()
    said = spec_of(TEXT, f"trainer.{PRECISION}=bfloat16")
    assert precision.as_it_had(said, {"float32": 9}) is said


def test_precisions_in_words():
    assert in_precisions({}) == ""
    assert in_precisions({"bfloat16": 7}) == "bfloat16"
    assert in_precisions({"float32": 1, "bfloat16": 7}) == "mixed, 7 trials in bfloat16, 1 in float32"


def test_a_gpu_is_asked_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """Which here is told what to say."""
    monkeypatch.setattr(precision, "visible_gpus", lambda: 1)
    for said in ("bfloat16", "float32"):
        monkeypatch.setenv("TRAINER_PRECISION", said)
        assert precision.chosen(spec_of()) == said
    monkeypatch.setenv("TRAINER_PRECISION", "int8")
    assert precision.chosen(spec_of()) == "float32"


def test_a_processor_is_asked_here(monkeypatch: pytest.MonkeyPatch):
    """By the width that the spec says."""
    monkeypatch.delenv("TRAINER_PRECISION")
    monkeypatch.setattr(precision, "visible_gpus", lambda: 0)
    monkeypatch.setattr(precision.subprocess, "run", pytest.fail)
    monkeypatch.setattr(precision.rule, "bfloat16_by", lambda device: "avx512_bf16")
    assert precision.chosen(spec_of()) == "bfloat16"
    assert precision.chosen(spec_of(TEXT, "trainer.model.width=32")) == "float32"
    monkeypatch.setattr(precision.rule, "bfloat16_by", lambda device: None)
    assert precision.chosen(spec_of()) == "float32"


def test_a_question_without_an_answer_is_float32(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRAINER_PRECISION", "int8")
    assert precision.chosen(spec_of()) == "float32"


def test_it_is_not_searched():
    with pytest.raises(InvalidSpec, match="trials computed in different ways"):
        spec_of(TEXT.replace("search:", "  compute.precision: {choice: [float32, bfloat16]}\nsearch:"))
