"""All trials of a sweep are computed in one precision, whatever machine goes on with it."""

import pytest

from sweeper.planning import precision
from sweeper.planning.precision import KEY, in_one_precision
from sweeper.spec.load import read_spec
from sweeper.spec.spec import SweepSpec, differences
from sweeper.spec.yaml_source import InvalidSpec

TEXT = """
trainer: {data: {name: pydocs, length: 32}}
space:
  finetune.lr: {log_uniform: [1e-4, 1e-2]}
search: {trials: 2}
"""


def spec_of(text: str = TEXT, *overrides: str) -> SweepSpec:
    return read_spec(text, "given.yaml", "given", overrides)


def test_a_new_sweep_is_measured_once_and_its_trials_say_so():
    spec = in_one_precision(spec_of(), None, lambda _: "bfloat16")
    assert spec.trainer[KEY] == "bfloat16"
    assert spec.train_config({"finetune.lr": 1e-3}, seed=0).compute.precision == "bfloat16"


def test_a_sweep_goes_on_in_its_own_precision_where_another_would_be_measured():
    stored = in_one_precision(spec_of(), None, lambda _: "bfloat16")
    again = in_one_precision(spec_of(), stored, lambda _: "float32")
    assert again.trainer[KEY] == "bfloat16"
    assert not differences(stored.resolved(), again.resolved())


def test_another_precision_is_another_sweep():
    stored = in_one_precision(spec_of(), None, lambda _: "bfloat16")
    other = in_one_precision(spec_of(TEXT, f"trainer.{KEY}=float32"), stored)
    assert differences(stored.resolved(), other.resolved()) == [f"trainer.{KEY}: bfloat16 -> float32"]


def test_a_sweep_from_before_this_was_known_stays_the_same_sweep():
    before = spec_of()
    assert KEY not in before.trainer
    assert in_one_precision(spec_of(), before, lambda _: "bfloat16") == before


def test_what_the_spec_says_is_not_measured():
    spec = spec_of(TEXT, f"trainer.{KEY}=bfloat16")
    assert in_one_precision(spec, None, pytest.fail) is spec


def test_measured_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """Which here is told what to find."""
    for said in ("bfloat16", "float32"):
        monkeypatch.setenv("TRAINER_PRECISION", said)
        assert precision.measured(spec_of()) == said


def test_nothing_is_started_where_the_processor_has_no_bf16(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TRAINER_PRECISION")
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: False)
    monkeypatch.setattr(precision, "visible_gpus", lambda: 0)
    monkeypatch.setattr(precision.subprocess, "run", pytest.fail)
    assert precision.measured(spec_of()) == "float32"


def test_a_measurement_that_fails_is_float32(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TRAINER_PRECISION", "int8")
    assert precision.measured(spec_of()) == "float32"


def test_it_is_not_searched():
    with pytest.raises(InvalidSpec, match="trials computed in different ways"):
        spec_of(TEXT.replace("search:", "  compute.precision: {choice: [float32, bfloat16]}\nsearch:"))
