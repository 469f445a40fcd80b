"""A denoiser that errs nowhere reaches the source's own likelihood under every bound: not more, not less."""

import numpy as np
import pytest
import torch

from tests.reference.exact_denoiser import ExactDenoiser
from tests.trainer.tiny_runs import returned
from trainer.config.evaluation import EvaluationConfig
from trainer.data.corpus import load
from trainer.data.synthetic import Synthetic
from trainer.evaluation.bound import evaluate
from trainer.network.attention import dense_mask
from trainer.objectives import subsets
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.union import OBJECTIVES
from trainer.values import kind_of

LENGTH = 16
# Few words, so that a sequence is one integer; most nats come from the chain, few from its rare ends.
SOURCE = Synthetic(
    length=LENGTH, words=12, branching=8, entropy=2.0, document_words=100,
    train_sequences=8, held_out_sequences=64,
)  # fmt: skip
DRAWS, REPEATS = 2560, 16


def bounds(*, drawn):
    """(objective, block size) of every objective at every block size: where masks are drawn, or where not."""
    for kind in OBJECTIVES:
        only = kind.only_block_size(LENGTH)
        for block_size in (only,) if only else (1, 2, 4, 8, 16):
            if (kind().passport(block_size, 1)["bound"] == "sampled") == drawn:
                yield pytest.param(kind(), block_size, id=f"{kind_of(kind)}-{block_size}")


def sequences(count):
    return np.asarray(load(SOURCE).valid.tokens_SL[:count], np.int64)


@pytest.mark.parametrize(("objective", "block_size"), bounds(drawn=False))
def test_where_no_mask_is_drawn_the_bound_is_the_likelihood(objective, block_size):
    """Of each sequence, to the last digits."""
    x0_SL = sequences(12)
    model = ExactDenoiser(SOURCE, causal=not objective.noisy)
    nats_SL = objective.bound(model, torch.from_numpy(x0_SL), block_size, 1, [0] * len(x0_SL))
    exact_S = SOURCE.exact_nats_SL(x0_SL).sum(axis=1)
    np.testing.assert_allclose(nats_SL.sum(dim=1).numpy(), exact_S, rtol=1e-9)


def test_so_is_that_of_larger_blocks_where_every_subset_is_taken(monkeypatch):
    monkeypatch.setattr(subsets, "ENUMERATED_BLOCK_SIZE", 8)
    test_where_no_mask_is_drawn_the_bound_is_the_likelihood(BlockDiffusion(), 8)


@pytest.mark.long
@pytest.mark.parametrize("fine", [False, True], ids=["plain", "fine"])
@pytest.mark.parametrize(("objective", "block_size"), bounds(drawn=True))
def test_where_masks_are_drawn_it_is_the_likelihood_to_a_thousandth(objective, block_size, fine):
    """Of twelve sequences together, so many masks being drawn that four standard errors are less."""
    x0_SL = torch.from_numpy(sequences(12))
    model = ExactDenoiser(SOURCE)
    found_R = []
    for repeat in range(REPEATS):
        given = (model, x0_SL, block_size, DRAWS, [1000 * repeat + row for row in range(len(x0_SL))])
        nats_SL = returned(objective.fine_bound(*given, 2**13)) if fine else objective.bound(*given)
        found_R.append(nats_SL.sum().item())
    exact = SOURCE.exact_nats_SL(x0_SL.numpy()).sum()
    error = np.std(found_R, ddof=1) / np.sqrt(REPEATS)
    assert 4 * error < 1e-3 * exact, "too few masks to show anything"
    assert np.mean(found_R) == pytest.approx(exact, rel=1e-3)


def reads_its_own_answer(layout, device):
    """As if a noisy token read the clean tokens of its own block, too."""
    block_S = layout.positions(device) // layout.block_size
    clean_S = torch.arange(len(block_S)) >= layout.noisy
    return dense_mask(layout, device) | clean_S & (block_S <= block_S[:, None])


def test_a_leak_lies_far_below():
    """The last block, whose clean tokens are in no pass, pays what it did."""
    objective, x0_SL = BlockDiffusion(), sequences(4)
    model = ExactDenoiser(SOURCE, readable=reads_its_own_answer)
    nats_SL = objective.bound(model, torch.from_numpy(x0_SL), 4, 1, [0] * 4)
    assert nats_SL[:, :-4].abs().max() < 1e-12
    assert 0 < nats_SL.sum() < 0.5 * SOURCE.exact_nats_SL(x0_SL).sum()


def test_its_posteriors_are_those_of_every_string():
    """Forward and backward, against the likelihoods of all strings that agree with what is known."""
    source = SOURCE.model_copy(update={"length": 4, "words": 3, "branching": 2, "entropy": 0.5})
    model, words = ExactDenoiser(source), 3
    symbols = [*range(words), words + 1]
    strings = np.array([[words, a, b, c] for a in symbols for b in symbols for c in symbols])
    chance = np.exp(-source.exact_nats_SL(strings).sum(axis=1))
    assert chance.sum() == pytest.approx(1)
    base = model.symbols + 1
    for known in ([0, 0, 0, 0], [0, 0, 2, 0], [0, 1, 0, 3], [0, 4, 0, 0]):
        agrees = np.ones(len(strings), bool)
        for position, code in enumerate(known):
            if code:
                agrees &= strings[:, position] == symbols[code - 1]
        evidence = sum(code * base**position for position, code in enumerate(known))
        law_LK = model.posterior_ELK(np.array([evidence]))[0]
        for position in (1, 2, 3):
            of_symbol = [chance[agrees & (strings[:, position] == each)].sum() for each in symbols]
            np.testing.assert_allclose(law_LK[position], np.array(of_symbol) / sum(of_symbol), atol=1e-12)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_an_evaluation_brings_the_sources_own_nats_document_by_document(split):
    """At block size 1: in a larger block that two documents share, each token's part is another."""
    config = EvaluationConfig(sequences=20)
    model = ExactDenoiser(SOURCE)
    found = returned(evaluate(model, BlockDiffusion(), 1, split, load(SOURCE), config, 0))
    np.testing.assert_allclose(found.nats_D, found.exact_nats_D, rtol=1e-9)
    assert len(found.exact_nats_D) == len(found.tokens_D) > 1
