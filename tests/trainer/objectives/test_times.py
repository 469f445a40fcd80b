"""Times of a block, a sequence or a token under any density: means of the objective, by enumeration.

B batch, L length, N blocks, P positions of a block, M masks.
"""

from itertools import product

import numpy as np
import pytest
import torch

from trainer.config.train_config import TrainConfig
from trainer.evaluation.bins import times_by_bin
from trainer.objectives.forward import noise, times

LENGTH, SIZE, MASK = 4, 2, 9
BATCH = 200_000
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


def phase_of(**values):
    block = {"block_size": SIZE, "clip": {"low": 0.2, "high": 0.9}, **values}
    return TrainConfig.from_dotted({"data.length": LENGTH, "finetune": block}).finetune


def nats_of(masked_BL: torch.Tensor) -> torch.Tensor:
    """Of a toy whose masked token costs 1 nat, and 4 where the other of its block is masked too."""
    masked_BNP = masked_BL.view(-1, LENGTH // SIZE, SIZE)
    return (masked_BNP * (1 + 3 * masked_BNP.flip(-1))).view_as(masked_BL).double()


def mean_by_enumeration(phase, context=lambda p: p) -> float:
    """Of the loss of a sequence: over times by quadrature, over all masks of the blocks, token by token.

    context: the rate at which the others are masked where a token's own rate is p.
    """
    low, high = phase.clip.time(0.0), phase.clip.time(1.0)
    masks = torch.tensor([(False, *rest) for rest in product((False, True), repeat=LENGTH - 1)])
    nats_ML, total = nats_of(masks).tolist(), 0.0
    for node, weight in zip((NODES + 1) / 2, WEIGHTS / 2, strict=True):
        p, scale = phase.schedule(float(low + (high - low) * node), 0.0)
        for mask, nats_L in zip(masks.tolist(), nats_ML, strict=True):
            for i in range(1, LENGTH):
                rates = [p if j == i else context(p) for j in range(1, LENGTH)]
                likely = [r if m else 1 - r for r, m in zip(rates, mask[1:], strict=True)]
                total += weight * float(np.prod(likely)) * scale * nats_L[i]
    return total


def losses_of(phase) -> torch.Tensor:
    """loss_BL of many draws, as the objective charges them."""
    x0_BL = torch.zeros(BATCH, LENGTH, dtype=torch.long)
    drawn = noise(x0_BL, phase, 0.0, MASK, torch.Generator().manual_seed(3))
    charge_BL = drawn.charge_BN.repeat_interleave(LENGTH // drawn.charge_BN.shape[1], dim=1)
    return charge_BL.double() * nats_of(drawn.masked_BL)


DENSITIES = [
    {"name": "uniform"},
    {"name": "beta", "a": 0.6, "b": 1.4},
    {"name": "bell", "mu": 0.3, "sigma": 0.3},
    {"name": "table", "heights": [20, 4, 1]},
]


@pytest.mark.parametrize("per", ["block", "sequence", "token"])
@pytest.mark.parametrize("density", DENSITIES, ids=lambda each: each["name"])
@pytest.mark.parametrize("schedule", ["loglinear", "cosine_md4"])
def test_the_mean_is_the_objectives_whatever_the_density(schedule, density, per):
    """Of a token it is another: a context masked at the mean rate of what is drawn."""
    phase = phase_of(time={**density, "per": per}, schedule={"name": schedule})
    share, _ = phase.time.drawn((np.arange(10**5) + 0.5) / 10**5)
    mean_rate = float(np.mean(phase.schedule(phase.clip.time(share)).move_chance))
    loss_B = losses_of(phase).sum(dim=1)
    mean, error = loss_B.mean().item(), (loss_B.std() / BATCH**0.5).item()
    own, context = mean_by_enumeration(phase), mean_by_enumeration(phase, lambda p: mean_rate)
    assert abs(mean - (context if per == "token" else own)) < 4 * error
    if density["name"] == "table":
        assert abs(own - context) > 8 * error, "or this test could not tell"


def test_what_is_not_corrected_is_another_objective():
    late = {"name": "table", "heights": [1, 4, 20], "importance": False}
    loss_B = losses_of(phase_of(time=late)).sum(dim=1)
    other = mean_by_enumeration(phase_of())
    assert loss_B.mean().item() > other + 8 * (loss_B.std() / BATCH**0.5).item()


@pytest.mark.parametrize(("per", "distinct"), [("block", 4), ("sequence", 1), ("token", 16)])
def test_who_has_a_time_of_its_own(per, distinct):
    phase = TrainConfig.from_dotted(
        {"data.length": 16, "finetune": {"block_size": 4, "time": {"name": "bell", "per": per}}}
    ).finetune
    u_BN = times(8, 16, phase, torch.Generator().manual_seed(0), torch.device("cpu"))
    assert [len(row.unique()) for row in u_BN] == [distinct] * 8
    strata = u_BN if distinct > 1 else u_BN[:, :1]
    edges = torch.arange(strata.numel(), dtype=torch.float64)
    assert torch.equal((strata.double().flatten() * strata.numel()).floor().sort().values, edges)
    drawn = noise(torch.zeros(8, 16, dtype=torch.long), phase, 0.0, 9, torch.Generator().manual_seed(0))
    assert drawn.charge_BN.shape == drawn.move_chance_BN.shape == (8, 16 if per == "token" else 4)


def test_a_density_moves_the_variance():
    variances = [losses_of(phase_of(time=each)).sum(dim=1).var().item() for each in DENSITIES]
    assert max(variances) > 1.5 * min(variances)


def test_bins_are_of_the_times_that_are_drawn():
    late = {"name": "table", "heights": [0, 1], "importance": False}
    found = times_by_bin(phase_of(time=late, clip={"low": 0, "high": 1}))
    assert [len(each) > 0 for each in found] == [False] * 5 + [True] * 5
