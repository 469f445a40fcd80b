"""Operations of a run, by its values: against the layouts that the network really has, and by hand."""

import math
from typing import Any

import numpy as np
import pytest

from benchmarks.floors import rows_of
from sweeper.planning.flops import (
    Rows,
    Shape,
    causal_rows,
    complementary_rows,
    course,
    flops_of,
    flops_of_run,
    mean_rate,
    noised_rows,
    of_step,
)
from tests.sweeper.filled import BASE
from trainer.config.train_config import TrainConfig
from trainer.network.attention import block_causal, noised

RUN = {
    **BASE,
    "pretrain.batch_size": 4,
    "finetune.batch_size": 16,
    "pretrain.clip.low": 1.0,
    "pretrain.clip.high": 1.0,
}


@pytest.mark.parametrize(("length", "block_size"), [(16, 1), (16, 4), (16, 8), (16, 16), (64, 4)])
def test_rows_are_those_of_the_mask_that_attention_has(length: int, block_size: int):
    layout = noised(length, block_size)
    assert noised_rows(length, block_size, rate=1.0) == rows_of(layout, 1, length - 1)


@pytest.mark.parametrize("length", [2, 5, 64])
def test_autoregressive_rows_too(length: int):
    assert causal_rows(length) == rows_of(block_causal(length - 1, 1), 1, length - 1)


def test_by_hand():
    """One layer of width 2, five words; two tokens in blocks of one, of which one is scored."""
    rows = Rows(tokens=3, read=2, scored=1, pairs=4, pairs_read=3)
    assert noised_rows(2, 1, rate=1.0) == rows
    products = 2 * 2 * 2 + 3 * 2 * 4 + 1 * 2 * 2 + 1 * 2 * 8 + 1 * 8 * 2 + 1 * 2 * 5
    assert flops_of(Shape(2, 1, 5), rows) == 2 * 3 * (products + 3 * 2 * 2)


def test_the_masking_rate_is_the_schedules_mean_within_the_clip():
    assert mean_rate(RUN, "pretrain") == 1.0
    assert mean_rate(RUN, "finetune") == pytest.approx(0.5, abs=2e-3)
    narrow = {**RUN, "finetune.clip.low": 0.3, "finetune.clip.high": 0.8}
    assert mean_rate(narrow, "finetune") == pytest.approx(0.55, abs=2e-3)


def test_a_run_is_its_phases_and_the_pretrain_counts_whoever_shares_it():
    pretrain, finetune = (of_step(RUN, phase) for phase in ("pretrain", "finetune"))
    steps = RUN["pretrain.steps"]
    assert course(RUN).at([0, 10, steps, steps + 10]) == pytest.approx(
        [0, 10 * pretrain, steps * pretrain, steps * pretrain + 10 * finetune]
    )
    assert flops_of_run(RUN) == pytest.approx(steps * pretrain + 200 * finetune)
    assert flops_of_run({**RUN, "pretrain.steps": 0}) == pytest.approx(200 * finetune)


@pytest.mark.parametrize("objective", ["bd3lm", "mdlm", "ar", "sedd"])
def test_a_step_is_linear_in_the_batch_and_rises_with_the_network(objective: str):
    run = {**RUN, "objective.name": objective}
    once, twice = of_step(run, "finetune"), of_step({**run, "finetune.batch_size": 32}, "finetune")
    assert twice == pytest.approx(2 * once)
    assert of_step({**run, "model.layers": 3}, "finetune") > once
    assert of_step({**run, "data.vocab_size": 4096}, "finetune") > once


def test_near_six_operations_a_weight_and_token_where_everything_is_read_and_scored():
    """The field's rule (Kaplan et al. 2020), at a width where attention is small beside the products."""
    run = {**RUN, "objective.name": "ar", "model.width": 1024, "model.layers": 12, "data.length": 128}
    weights = 12 * 12 * 1024**2 + 1024 * run["data.vocab_size"]
    assert of_step(run, "finetune") == pytest.approx(6 * weights * 16 * 127, rel=0.02)


def test_what_cannot_be_told_is_nan():
    assert math.isfinite(flops_of_run({**RUN, "data.tokenizer": "gpt2"}))
    for change in (
        {"data.tokenizer": "/somewhere/else"},
        {"finetune.schedule.name": "of tomorrow"},
        {"model.width": None},
        {"objective.name": "of tomorrow"},
    ):
        assert np.isnan(course({**RUN, **change}).at([1, 1700])).all()
    assert math.isnan(flops_of_run({}))


def test_several_block_sizes_count_by_their_shares_and_an_ar_term_as_a_pass_of_its_own():
    def step(**changed: Any) -> float:
        dotted = {f"finetune.{name}": value for name, value in changed.items()}
        return of_step(TrainConfig.from_dotted({"data.length": 64, **dotted}).to_dotted(), "finetune")

    mixed = step(block_size=16, blocks={"name": "mixture", "sizes": [4, 16], "shares": [1, 3]})
    assert mixed == pytest.approx(0.25 * step(block_size=4) + 0.75 * step(block_size=16))
    causal = of_step(
        TrainConfig.from_dotted({"data.length": 64, "objective.name": "ar"}).to_dotted(), "finetune"
    )
    assert step(ar_weight=0.1) == step(ar_weight=9.0) == pytest.approx(step() + causal)


def test_of_complementary_masks_every_token_has_a_loss_and_the_clean_ones_pass_once():
    one, both = noised_rows(64, 16, 0.5), complementary_rows(64, 16, 0.5)
    assert both.scored == 63 == pytest.approx(2 * one.scored)
    assert (both.tokens, both.read) == (one.tokens + 64, 2 * one.read)
    clean = one.pairs - one.pairs_read  # of clean tokens, which no copy adds to
    assert both.pairs - both.pairs_read == clean
    assert both.pairs_read == 2 * one.pairs_read


def test_values_of_before_there_were_such_fields_count_as_they_did():
    values = TrainConfig.from_dotted({}).to_dotted()
    newer = (".blocks.", "ar_weight", "complementary")
    old = {name: value for name, value in values.items() if not any(each in name for each in newer)}
    assert of_step(old, "finetune") == of_step(values, "finetune")
