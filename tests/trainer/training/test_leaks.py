"""No prediction reads what it predicts, or what comes after it; and what is called a bound is one."""

from itertools import product

import pytest
import torch

from tests.trainer.networks import network, toy
from trainer.network.attention import block_causal, noised
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.block_diffusion import BlockDiffusion

LENGTH, VOCAB_SIZE, MASK = 8, 11, 10


def logits_of(model, x0_BL, masked_BL, block_size):
    layout = noised(LENGTH, block_size)
    xt_BL = torch.where(masked_BL, MASK, x0_BL)
    return model.logits(model.hidden(torch.cat([xt_BL, x0_BL[:, : layout.clean]], dim=1), layout))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block_size", [1, 2, 4, 8])
def test_diffusion_leaks_nothing(block_size, seed):
    model = network(length=LENGTH, vocab_size=VOCAB_SIZE)
    generator = torch.Generator().manual_seed(seed)
    x0 = torch.randint(0, MASK, (1, LENGTH), generator=generator)
    masked = torch.rand(1, LENGTH, generator=generator) < 0.6
    masked[:, 0], masked[:, -1] = False, True
    before = logits_of(model, x0, masked, block_size)[0]
    block = torch.arange(LENGTH) // block_size
    for position in range(LENGTH):
        other = x0.clone()
        other[0, position] = (other[0, position] + 1) % MASK
        after = logits_of(model, other, masked, block_size)[0]
        unread = block < block[position]
        if masked[0, position]:
            unread |= block == block[position]  # itself, and the others of its block
        assert torch.equal(before[unread], after[unread]), position
        # Whatever may be read is read: else nothing above could fail.
        differs = (before != after).any(dim=1)
        assert differs[~unread].all(), position


def test_autoregression_leaks_nothing():
    model = network(Autoregressive(), length=LENGTH, vocab_size=VOCAB_SIZE)
    x0 = torch.randint(0, MASK, (1, LENGTH), generator=torch.Generator().manual_seed(0))

    def predictions(x_BL):  # row i predicts token i + 1
        hidden_BRD = model.hidden(x_BL[:, :-1], block_causal(LENGTH - 1, block_size=1))
        return model.logits(hidden_BRD)[0]

    before = predictions(x0)
    for position in range(LENGTH):
        other = x0.clone()
        other[0, position] = (other[0, position] + 1) % MASK
        after = predictions(other)
        assert torch.equal(before[:position], after[:position])
        assert (before != after).any(dim=1)[position:].all()


@pytest.mark.parametrize(
    ("objective", "length", "block_size"),
    [
        (Autoregressive(), 5, 1),
        (BlockDiffusion(), 5, 1),
        (BlockDiffusion(), 4, 1),
        (BlockDiffusion(), 4, 2),
        (BlockDiffusion(), 4, 4),
        (BlockDiffusion(), 8, 4),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_no_more_than_all_of_the_probability_is_given_out(objective, length, block_size):
    """Over all strings of four letters, the sum of exp(-NELBO) is at most 1, and 1 where it is exact."""
    model = toy(causal=objective.name == "ar", length=length)
    free = min(length - 1, 4)  # the letters before them are given, like BOS
    strings = torch.tensor(list(product(range(4), repeat=free)))
    x0 = torch.cat([torch.zeros(len(strings), length - free, dtype=torch.long), strings], dim=1)
    nats = objective.bound(model, x0, block_size, 1, list(range(len(x0))))
    assert nats.dtype == torch.float64
    assert not nats[:, 0].any()
    total = (-nats[:, length - free :].sum(dim=1)).exp().sum().item()
    if block_size == 1:
        assert total == pytest.approx(1, abs=1e-6)
    else:
        assert 0.5 < total < 1 - 1e-5
