"""A denoiser that errs nowhere reaches the source's own likelihood under every bound: not more, not less."""

import numpy as np
import pytest
import torch

from tests.reference.exact_denoiser import ExactDenoiser
from tests.trainer.tiny_runs import returned
from trainer.config.evaluation import EvaluationConfig
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import load
from trainer.data.synthetic import Synthetic
from trainer.evaluation.bound import evaluate
from trainer.network.attention import dense_mask
from trainer.objectives.union import OBJECTIVES
from trainer.values import kind_of

LENGTH = 16
# Few words, so that a sequence is one integer; most nats come from the chain, few from its rare ends.
SOURCE = Synthetic(
    length=LENGTH, words=12, branching=6, entropy=1.75, document_words=100,
    train_sequences=8, held_out_sequences=64,
)  # fmt: skip
REPEATS = 8


def bounds():
    """(objective, block size) of every objective, at every block size that it takes."""
    for kind in OBJECTIVES:
        only = kind.only_block_size(LENGTH)
        for block_size in (only,) if only else (1, 2, 4, 8, 16):
            yield pytest.param(kind(), block_size, id=f"{kind_of(kind)}-{block_size}")


every_bound = pytest.mark.parametrize(("objective", "block_size"), bounds())


def sequences(count):
    return np.asarray(load(SOURCE).valid.tokens_SL[:count], np.int64)


def is_sampled(objective, block_size):
    return objective.passport(block_size, 1)["bound"] == "sampled"


@pytest.mark.parametrize("fine", [False, True], ids=["plain", "fine"])
@every_bound
def test_the_bound_is_the_likelihood(objective, block_size, fine):
    """Of each sequence to 1e-9 where no mask is drawn; else of all to 0.1%, four standard errors being
    less."""
    sampled = is_sampled(objective, block_size)
    if fine and not sampled:
        pytest.skip("no mask is drawn")
    x0_SL = sequences(12)
    model = ExactDenoiser(SOURCE, causal=not objective.noisy)
    exact_S = SOURCE.exact_nats_SL(x0_SL).sum(axis=1)
    if not sampled:
        nats_SL = objective.bound(model, torch.from_numpy(x0_SL), block_size, 1, [0] * len(x0_SL))
        np.testing.assert_allclose(nats_SL.sum(dim=1).numpy(), exact_S, rtol=1e-9)
        return
    found_R = []
    for repeat in range(REPEATS):
        seeds_S = [1000 * repeat + row for row in range(len(x0_SL))]
        given = (model, torch.from_numpy(x0_SL), block_size, 128 if fine else 1024, seeds_S)
        nats_SL = returned(objective.fine_bound(*given, 2**13)) if fine else objective.bound(*given)
        found_R.append(nats_SL.sum().item())
    error = np.std(found_R, ddof=1) / np.sqrt(REPEATS)
    assert 4 * error < 1e-3 * exact_S.sum(), "too few masks to show anything"
    assert np.mean(found_R) == pytest.approx(exact_S.sum(), rel=1e-3)


def reads_its_own_answer(layout, device):
    """As if a noisy token read the clean tokens of its own block, too."""
    block_S = layout.positions(device) // layout.block_size
    clean_S = torch.arange(len(block_S)) >= layout.noisy
    return dense_mask(layout, device) | clean_S & (block_S <= block_S[:, None])


def test_a_leak_lies_far_below():
    """The last block, whose clean tokens are in no pass, pays what it did."""
    objective, x0_SL = TrainConfig.from_dotted({}).objective, sequences(4)
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
    config = EvaluationConfig(sequences=20)
    objective = TrainConfig.from_dotted({}).objective
    model = ExactDenoiser(SOURCE)
    found = returned(evaluate(model, objective, 4, split, load(SOURCE), config, 0))
    np.testing.assert_allclose(found.nats_D, found.exact_nats_D, rtol=1e-9)
    assert len(found.exact_nats_D) == len(found.tokens_D) > 1
