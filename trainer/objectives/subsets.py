"""The subset estimator: the bound of masked diffusion with time integrated out (formulas.md section 4).

    NELBO of a block with M maskable tokens
        = integral over p of (1/p) E_{mask ~ Bernoulli(p)}[sum of -log p(x_i) over the masked i] dp
        = sum_{n=1..M} (1/n) E_{S uniform, |S| = n}[sum of -log p(x_i | x outside S, blocks before) over S]

No schedule, no time and no 1/t is left. Holds for a network that is not told the time.
Shapes: B batch, K masks of a sequence, L length, M maskable tokens of a block, E subsets of them.
"""

from functools import lru_cache
from math import comb
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.network.model import Denoiser, evaluating
from trainer.objectives.diffusion_loss import masked_cross_entropy

# Up to this block size every subset is evaluated (15 at 4): no Monte-Carlo error.
ENUMERATED_BLOCK_SIZE = 4

# Tokens of one pass: bounds memory.
MAX_TOKENS = 2**13


class Subsets(NamedTuple):
    """The bound of a sequence is the sum over K and L of weight * -log p(x_0) where masked."""

    masked_KL: Tensor
    weight_KL: Tensor  # float64


def passport(block_size: int, draws: int) -> dict[str, str | int]:
    """How the bound is arrived at, for the provenance of a metric."""
    kind = "exact" if block_size == 1 else "enumerated" if block_size <= ENUMERATED_BLOCK_SIZE else "sampled"
    return {"bound": kind, "estimator": "subsets", "draws": draws if kind == "sampled" else 2**block_size - 1}


def subset_bound(model: Denoiser, x0_BL: Tensor, block_size: int, draws: int, seeds_B: list[int]) -> Tensor:
    """nats_BL, float64: each token's share of an unbiased estimate of the NELBO."""
    subsets = [subsets_of(x0_BL.shape[1], block_size, draws, seed) for seed in seeds_B]
    tokens_per_sequence = (len(subsets[0].masked_KL) + 1) * x0_BL.shape[1]
    group = max(1, MAX_TOKENS // tokens_per_sequence)
    with evaluating(model):
        return torch.cat(
            [
                _bound_of_group(model, x0_BL[i : i + group], block_size, subsets[i : i + group])
                for i in range(0, len(x0_BL), group)
            ]
        )


def _bound_of_group(model: Denoiser, x0_BL: Tensor, block_size: int, subsets: list[Subsets]) -> Tensor:
    masked_BKL = torch.stack([each.masked_KL for each in subsets]).to(x0_BL.device)
    weight_BKL = torch.stack([each.weight_KL for each in subsets]).to(x0_BL.device)
    xt_BKL = torch.where(masked_BKL, model.shape.mask_id, x0_BL[:, None])
    nats_M = masked_cross_entropy(model, x0_BL, xt_BKL, masked_BKL, block_size)
    nats_BKL = torch.zeros_like(weight_BKL).masked_scatter(
        masked_BKL, nats_M.double() * weight_BKL[masked_BKL]
    )
    return nats_BKL.sum(dim=1)


def subsets_of(length: int, block_size: int, draws: int, seed: int) -> Subsets:
    """The masks of one sequence and their weights, on the CPU. BOS stands in the first block, unmasked."""
    if block_size <= ENUMERATED_BLOCK_SIZE:
        return _enumerated(length, block_size)
    return _sampled(length, block_size, draws, torch.Generator().manual_seed(seed))


@lru_cache(maxsize=16)
def _enumerated(length: int, block_size: int) -> Subsets:
    """Every subset of every block: one of n tokens weighs 1 / (n * C(M, n)).

    The first block has fewer subsets than the others: the last masks leave it clean.
    """
    masked_KL = torch.zeros(2**block_size - 1, length, dtype=torch.bool)
    weight_KL = torch.zeros(2**block_size - 1, length, dtype=torch.float64)
    for first in range(0, length, block_size):
        start, end = max(first, 1), first + block_size
        subset_E = torch.arange(1, 2 ** (end - start))
        masked_EM = (subset_E[:, None] >> torch.arange(end - start)) & 1 == 1
        weights = [1 / (n * comb(end - start, n)) for n in masked_EM.sum(dim=1).tolist()]
        masked_KL[: len(subset_E), start:end] = masked_EM
        weight_KL[: len(subset_E), start:end] = torch.tensor(weights, dtype=torch.float64)[:, None]
    return Subsets(masked_KL, weight_KL)


def _sampled(length: int, block_size: int, draws: int, generator: torch.Generator) -> Subsets:
    """Of each block and draw a subset of n tokens, weight M / n / draws, n uniform on {1..M}.

    n is stratified: over the draws of a block, and within a draw over the blocks of the sequence.
    Each of its values keeps probability 1/M for each block, so the estimate stays unbiased.
    """
    blocks = length // block_size
    stratum_KN = torch.rand(draws, blocks, generator=generator).argsort(dim=1)
    within_KN = torch.rand(draws, blocks, generator=generator, dtype=torch.float64)
    u_KN = (torch.arange(draws)[:, None] + (stratum_KN + within_KN) / blocks) / draws
    masked_KL, scale_KL = subsets_at(u_KN, block_size, generator)
    return Subsets(masked_KL, scale_KL / draws)


def subsets_at(u_KN: Tensor, block_size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """masked_KL, and M / n for each token, float64: of every block n = ceil(u M) tokens, uniformly chosen."""
    draws, blocks = u_KN.shape
    maskable_N1 = torch.full((blocks, 1), block_size)
    maskable_N1[0] = block_size - 1
    count_KN1 = 1 + (u_KN[..., None] * maskable_N1).long().clamp(max=maskable_N1 - 1)

    # A uniform subset of n: the n tokens that rank first in a random order. BOS ranks last.
    order_KL = torch.rand(draws, blocks * block_size, generator=generator)
    order_KL[:, 0] = 2.0
    rank_KNP = order_KL.view(draws, blocks, block_size).argsort(dim=2).argsort(dim=2)
    masked_KNP = rank_KNP < count_KN1
    scale_KNP = (maskable_N1 / count_KN1.double()).expand_as(masked_KNP)
    return masked_KNP.flatten(1), scale_KNP.flatten(1)
