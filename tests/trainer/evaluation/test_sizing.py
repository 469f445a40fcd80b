"""The number of masks for a wanted error, against masks really drawn."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from trainer.config.evaluation import EvaluationConfig
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.evaluation.sizing import (
    MOST_DRAWS,
    MOST_FINE_DRAWS,
    draws_of,
    fine_draws_of,
    fine_spread,
    mask_error,
    plain_spread,
    surprisal_variance,
)
from trainer.objectives.fine_bound import fine_subsets
from trainer.objectives.subsets import subsets_of


@pytest.mark.parametrize(("block_size", "draws"), [(8, 1), (16, 4), (64, 4)])
def test_the_error_is_what_masks_make(block_size, draws):
    """Of a network whose nats are the unigram model's, so that only the masks are left to chance."""
    length, count = 128, 1500
    words_L = np.random.default_rng(0).zipf(1.5, length).clip(max=40)
    _, inverse, counts = np.unique(words_L[1:], return_inverse=True, return_counts=True)
    nats_L = torch.tensor([0.0, *-np.log(counts / (length - 1))[inverse]])
    found = []
    for seed in range(count):
        subsets = subsets_of(length, block_size, draws, seed)
        found.append((subsets.masked_KL * subsets.weight_KL * nats_L).sum().item() / (length - 1))
    assert np.mean(found) == pytest.approx(
        nats_L.sum().item() / (length - 1), abs=4 * np.std(found) / count**0.5
    )
    expected = mask_error(words_L[None, 1:], block_size) / math.sqrt(draws)
    assert np.std(found) == pytest.approx(expected, rel=0.15)


@settings(deadline=None)
@given(
    error=st.floats(1e-4, 1.0),
    block_size=st.sampled_from([8, 16, 128]),
    sequences=st.integers(2, 40),
    seed=st.integers(0, 99),
)
def test_as_many_masks_as_needed_and_no_more(error, block_size, sequences, seed):
    scored_SL = np.random.default_rng(seed).integers(0, 50, (sequences, 31))
    assert draws_of(EvaluationConfig(draws=7), scored_SL, block_size) == 7
    draws = draws_of(EvaluationConfig(error=error), scored_SL, block_size)
    of_one = mask_error(scored_SL, block_size)
    assert of_one / math.sqrt(draws) <= error * (1 + 1e-9) or draws == MOST_DRAWS
    assert draws == 1 or of_one / math.sqrt(draws - 1) > error
    twice = np.concatenate([scored_SL, scored_SL])
    assert draws_of(EvaluationConfig(error=error), twice, block_size) <= draws


@settings(deadline=None, max_examples=30)
@given(
    error=st.floats(1e-3, 1.0),
    block_size=st.sampled_from([8, 16, 128]),
    sequences=st.integers(2, 40),
    seed=st.integers(0, 99),
)
def test_so_has_the_fine_bound_within_its_cap(error, block_size, sequences, seed):
    scored_SL = np.random.default_rng(seed).integers(0, 50, (sequences, 31))
    draws = fine_draws_of(error, scored_SL, block_size)
    of = lambda number: math.sqrt(  # noqa: E731
        surprisal_variance(scored_SL) * fine_spread(number, block_size) / scored_SL.size
    )
    assert of(draws) <= error or draws == MOST_FINE_DRAWS
    assert draws == 1 or of(draws - 1) > error
    assert fine_draws_of(2 * error, scored_SL, block_size) <= draws


@pytest.mark.parametrize(("block_size", "draws"), [(8, 2), (16, 4), (64, 8)])
def test_without_its_controls_the_fine_bound_has_the_error_foretold(block_size, draws):
    length, count = 128, 1500
    words_L = np.random.default_rng(0).zipf(1.5, length).clip(max=40)
    _, inverse, counts = np.unique(words_L[1:], return_inverse=True, return_counts=True)
    nats_L = torch.tensor([0.0, *-np.log(counts / (length - 1))[inverse]])
    found = []
    for seed in range(count):
        masked_KL, scale_KL, width_K, _ = fine_subsets(length, block_size, draws, seed)
        found.append((width_K[:, None] * masked_KL * scale_KL * nats_L).sum().item() / (length - 1))
    assert np.mean(found) == pytest.approx(
        nats_L.sum().item() / (length - 1), abs=4 * np.std(found) / count**0.5
    )
    variance = surprisal_variance(words_L[None, 1:]) * fine_spread(draws, block_size) / (length - 1)
    assert np.std(found) == pytest.approx(math.sqrt(variance), rel=0.15)


def test_one_word_has_no_surprise():
    assert surprisal_variance(np.full((2, 5), 3)) == 0
    assert draws_of(EvaluationConfig(error=1e-9), np.full((2, 5), 3), 8) == 1
    assert fine_draws_of(1e-9, np.full((2, 5), 3), 8) == 1


def test_a_run_takes_as_many_as_its_error_asks_for(tmp_path: Path):
    """Whatever it trains: two runs of one block size are evaluated under the same masks."""
    corpus, runs = write_corpus(tmp_path), []
    for schedule in ("loglinear", "cosine"):
        changes = {"finetune__block_size": 8, "finetune__schedule__name": schedule, "evaluation__error": 0.2}
        config = tiny_config(corpus, evaluation__test=False, **changes)
        runs.append(reports_of(config, tmp_path / schedule)[-1].evaluations[0])
    assert {run.provenance["draws"] for run in runs} == {runs[0].provenance["draws"]}
    assert runs[0].provenance["draws"] not in (EvaluationConfig().draws, MOST_DRAWS)
    assert runs[0].identity == runs[1].identity
    # And what an evaluation keeps of its text is enough to say the same later.
    first = runs[0]
    variance = first.provenance["surprisal_variance"] / sum(first.tokens_D) * plain_spread(1, 8)
    assert first.provenance["draws"] == math.ceil(variance / 0.2**2)


def test_the_setting_is_content_only_where_it_is_said():
    plain, sized = TrainConfig.from_dotted({}), TrainConfig.from_dotted({"evaluation.error": 0.01})
    assert "evaluation.error" not in plain.content()
    assert sized.content()["evaluation.error"] == 0.01
    assert plain.stage_key() == sized.stage_key()
    with pytest.raises(InvalidConfig, match=r"evaluation\.error: must be greater than 0"):
        TrainConfig.from_dotted({"evaluation.error": 0})
