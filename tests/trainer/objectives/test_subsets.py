import math

import pytest
import torch

from tests.reference.bound import enumerate_bound
from tests.reference.loss import nats
from tests.trainer.networks import network
from trainer.config.train_config import TrainConfig
from trainer.noise.clips import FIRST_TIME
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.subsets import subset_bound, subsets_of


def slow_nats(model, block_size):
    weights, mask_id = model.state_dict(), model.shape.mask_id
    return lambda xt_BL, x0_BL: nats(weights, 2, xt_BL, x0_BL, block_size, mask_id)


def tokens(batch, length):
    return torch.randint(0, 10, (batch, length), generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize(("length", "block_size"), [(8, 1), (8, 2), (6, 3), (8, 4), (4, 4)])
def test_small_blocks_are_exact(length, block_size):
    model, x0 = network(length=length), tokens(2, length)
    got = subset_bound(model, x0, block_size, draws=1, seeds_B=[0, 1])
    for row in range(2):
        expected = enumerate_bound(slow_nats(model, block_size), x0[row], block_size, model.shape.mask_id)
        torch.testing.assert_close(got[row], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("draws", [1, 4])
@pytest.mark.parametrize(("length", "block_size"), [(8, 8), (12, 6)])
def test_sampled_subsets_are_unbiased(length, block_size, draws):
    model = network(length=length)
    x0_L = tokens(1, length)[0]
    exact = enumerate_bound(slow_nats(model, block_size), x0_L, block_size, model.shape.mask_id)
    count = 3000 // draws
    got = subset_bound(model, x0_L.expand(count, -1), block_size, draws, list(range(count)))
    error = (got.mean(dim=0) - exact)[1:] / (got.std(dim=0)[1:] / math.sqrt(count))
    assert error.abs().max() < 4, error
    total = got.sum(dim=1)
    assert abs(total.mean() - exact.sum()) < 4 * total.std() / math.sqrt(count)


@pytest.mark.parametrize("length_and_block", [(16, 16), (32, 8)])
def test_sizes_of_subsets_are_uniform_and_stratified(length_and_block):
    length, block_size = length_and_block
    draws = 3
    subsets = [subsets_of(length, block_size, draws, seed) for seed in range(2000)]
    masked = torch.stack([s.masked_KL for s in subsets]).unflatten(2, (-1, block_size))
    size_SKN = masked.sum(dim=3)
    assert not masked[:, :, 0, 0].any(), "BOS is never masked"
    for block, maskable in enumerate([block_size - 1] + [block_size] * (length // block_size - 1)):
        sizes = size_SKN[..., block]
        share = torch.bincount(sizes.flatten(), minlength=maskable + 1).double() / sizes.numel()
        assert share[0] == 0
        assert (share[1:] - 1 / maskable).abs().max() < 4 * math.sqrt(1 / maskable / sizes.numel())
        # Each draw keeps to its third of the sizes.
        spread = torch.arange(draws + 1) * maskable / draws
        assert (sizes >= spread[:-1].floor() + (spread[:-1] % 1 == 0)).all()
        assert (sizes <= spread[1:].ceil()).all()
        # Every token is as likely as any other.
        tokens_masked = masked[:, :, block, block_size - maskable :].double().mean(dim=(0, 1))
        assert (tokens_masked - tokens_masked.mean()).abs().max() < 4 * 0.5 / math.sqrt(sizes.numel())


def test_masks_belong_to_the_sequence_not_to_its_batch():
    model, x0 = network(length=8), tokens(5, 8)
    seeds = [3, 1, 4, 1, 5]
    together = subset_bound(model, x0, 8, 3, seeds)
    alone = torch.cat([subset_bound(model, x0[i : i + 1], 8, 3, seeds[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=1e-6)
    other = subset_bound(model, x0, 8, 3, [9, 8, 7, 6, 5])
    assert not torch.allclose(together[:4], other[:4])
    torch.testing.assert_close(together[4], other[4], rtol=1e-6, atol=1e-6)


def test_the_bound_leaves_the_network_as_it_was():
    model, x0 = network(length=8, dropout=0.5).train(), tokens(2, 8)
    one = subset_bound(model, x0, 8, 2, [0, 1])
    assert model.training
    assert not one.requires_grad
    assert torch.equal(one, subset_bound(model.eval(), x0, 8, 2, [0, 1]))


SCHEDULES = [
    {"name": "loglinear"},
    {"name": "square"},
    {"name": "square_root"},
    {"name": "logarithmic"},
    {"name": "cosine"},
    {"name": "gaussian", "mu": 0.4, "sigma": 0.3},
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s["name"])
def test_bound_equals_a_hundred_thousand_draws_of_time(schedule):
    """The training objective's mean is the bound, whatever the schedule.

    Time starts at 1e-3, so masking rates outside p(1e-3)..p(1) are never drawn; their exact share of the
    bound is added.
    """
    length, block_size, batch = 8, 4, 10_000
    config = TrainConfig.from_dotted(
        {
            "data.length": length,
            "finetune.block_size": block_size,
            "finetune.antithetic": False,
            "finetune.schedule": schedule,
        }
    )
    phase = config.finetune
    model = network(length=length, width=8, layers=1)
    x0_L = tokens(1, length)[0]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        drawn = torch.cat(
            [
                BlockDiffusion().loss(model, x0_L.expand(batch, -1), phase, 0.0, generator).loss_BL.sum(dim=1)
                for _ in range(5)  # two blocks a sequence: 10^5 draws
            ]
        ).double()
    low, high = (phase.schedule(t).move_chance for t in (FIRST_TIME, 1.0))
    enumerated = lambda a, b: enumerate_bound(  # noqa: E731
        slow_nats(model, block_size), x0_L, block_size, model.shape.mask_id, a, b
    ).sum()
    never_drawn = enumerated(0.0, low) + enumerated(high, 1.0)
    bound = subset_bound(model, x0_L[None], block_size, 1, [0]).sum()
    error = drawn.std() / math.sqrt(len(drawn))
    assert error < 0.05 * bound, "too noisy to show anything"
    assert abs(drawn.mean() + never_drawn - bound) < 4 * error
