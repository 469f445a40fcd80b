"""README's claim, not its digits: its sweep ends with an answer in each block size, of models that learnt
more than a bigram."""

from pathlib import Path

import pytest

from benchmarks.recipe import SPEC, read, run
from sweeper.spec.dimensions import Choice
from sweeper.spec.load import load_spec
from sweeper.strategies.samplers import Tpe

BLOCK_SIZE = "finetune.block_size"


def block_sizes() -> list[int]:
    dimension = load_spec(SPEC).space.dimensions[BLOCK_SIZE]
    assert isinstance(dimension, Choice)
    return [size for size in dimension.choice if isinstance(size, int)]


def test_its_sampler_has_more_trials_than_its_random_start() -> None:
    search = load_spec(SPEC).search
    assert isinstance(search.strategy, Tpe)
    assert search.trials > search.strategy.startup


def test_it_races_within_each_block_size() -> None:
    settle = load_spec(SPEC).settle
    assert settle is not None
    assert (settle.by, settle.until) == (BLOCK_SIZE, "answer")


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_it_ends_with_an_answer_in_each_block_size(tmp_path: Path) -> None:
    run(tmp_path, "schedules", [])  # raises where the sweep's exit code is not 0
    found = read(tmp_path, "schedules")
    assert [answer["value"] for answer in found["answers"]] == sorted(block_sizes())
    margin = load_spec(SPEC).settle.within  # type: ignore[union-attr]
    for answer in found["answers"]:
        assert answer["settled"] or ": Not settled to " in answer["text"], answer
        if answer["settled"] and not answer["winner"]:
            assert answer["loss"] <= margin
    assert found["first"] == min(block_sizes()), "its pretrain is left to right, which favours small blocks"
    assert found["best"] < found["bigram"]
