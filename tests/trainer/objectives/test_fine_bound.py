"""The bound from many masks: the same number as by definition, however its passes are cut."""

import math

import pytest
import torch

from tests.reference.bound import enumerate_bound
from tests.reference.loss import nats
from tests.trainer.networks import network
from tests.trainer.tiny_runs import returned
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.fine_bound import FineDraws, controlled, fine_subset_bound, fine_subsets, strata
from trainer.objectives.score_entropy import ScoreEntropy
from trainer.objectives.subsets import subset_bound

AT_ONCE = 2**13


def tokens(batch, length):
    return torch.randint(0, 10, (batch, length), generator=torch.Generator().manual_seed(5))


def enumerated(model, x0_L, block_size):
    weights, mask_id = model.state_dict(), model.shape.mask_id
    of = lambda xt_BL, x0_BL: nats(weights, 2, xt_BL, x0_BL, block_size, mask_id)  # noqa: E731
    return enumerate_bound(of, x0_L, block_size, mask_id)


@pytest.mark.parametrize("draws", [1, 2, 5])
@pytest.mark.parametrize(("length", "block_size"), [(8, 8), (12, 6)])
def test_it_is_unbiased(length, block_size, draws):
    model, x0_L = network(length=length), tokens(1, length)[0]
    exact_L = enumerated(model, x0_L, block_size)
    count = 4000 // draws
    x0_BL = x0_L.expand(count, -1)
    found = returned(fine_subset_bound(model, x0_BL, block_size, draws, list(range(count)), AT_ONCE))
    assert (found[:, 0] == 0).all(), "BOS is given"
    error_L = (found.mean(dim=0) - exact_L)[1:] / (found.std(dim=0)[1:] / math.sqrt(count))
    assert error_L.abs().max() < 4, error_L
    total = found.sum(dim=1)
    assert abs(total.mean() - exact_L.sum()) < 4 * total.std() / math.sqrt(count)


def test_that_of_scores_has_the_mean_of_the_plain_one():
    objective = ScoreEntropy()
    model = network(objective, length=6, std=0.15)
    x0_BL, seeds = tokens(1, 6).expand(400, -1), list(range(400))
    plain = objective.bound(model, x0_BL, 6, 16, seeds).sum(dim=1)
    fine = returned(objective.fine_bound(model, x0_BL, 6, 16, seeds, AT_ONCE)).sum(dim=1)
    error = math.sqrt((plain.var() + fine.var()).item() / 400)
    assert abs(plain.mean() - fine.mean()) < 4 * error


@pytest.mark.parametrize("objective", [BlockDiffusion(), ScoreEntropy()], ids=lambda each: each.name)
def test_cutting_its_passes_does_not_move_it(objective):
    model, x0_BL = network(objective, length=12), tokens(5, 12)
    found, passes = [], []
    for at_once in (1, 40, 100, 10**6):
        running, count = objective.fine_bound(model, x0_BL, 12, 7, [3, 1, 4, 1, 5], at_once), 0
        while True:
            try:
                next(running)
                count += 1
            except StopIteration as stop:
                found.append(stop.value)
                passes.append(count)
                break
    assert passes[0] == 5 * 7, "one mask of one sequence"
    assert passes[-1] == 1
    assert sorted(passes, reverse=True) == passes
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=1e-5, atol=1e-6)


def test_where_a_token_costs_the_same_under_every_mask_nothing_is_left_to_chance():
    """Once every token has been masked twice: the controls take all of it away."""
    nats_L = torch.rand(16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    nats_L[0] = 0
    drawn = fine_subsets(16, 8, 64, seed=0)
    assert (drawn.masked_KL.sum(dim=0)[1:] >= 2).all()
    share_BL = controlled((drawn.masked_KL * nats_L)[None], FineDraws(*(each[None] for each in drawn)))
    torch.testing.assert_close(share_BL[0], nats_L)


def test_strata_cover_all_rates_once():
    first_K, width_K = strata(7)
    assert width_K.sum().item() == pytest.approx(1)
    torch.testing.assert_close(first_K[1:], first_K[:-1] + width_K[:-1])
    assert (width_K.diff() > 0).all(), "few masked tokens are drawn more often"


@pytest.mark.parametrize(("length", "block_size"), [(16, 16), (32, 8)])
def test_its_error_is_smaller(length, block_size):
    """Of a network that has learnt nothing much, under equally many masks."""
    model, x0_BL = network(length=length, std=0.2), tokens(1, length).expand(60, -1)
    plain = subset_bound(model, x0_BL, block_size, 32, list(range(60)))
    fine = returned(fine_subset_bound(model, x0_BL, block_size, 32, list(range(60)), AT_ONCE))
    assert fine.sum(dim=1).std() < 0.7 * plain.sum(dim=1).std()
