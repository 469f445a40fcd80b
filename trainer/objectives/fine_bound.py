"""The bound under many masks, for the number that ranks: what `subsets` estimates, with a smaller error.

It is unbiased too, and differs in two things.

- Few masked tokens are drawn more often. Given n, the variance of M times the mean of n tokens' nats is
  M^2 s^2 (1/n - 1/M), largest at n = 1. So u in (0, 1), of which n = ceil(u M), is drawn once from each of K
  strata [(k/K)^2, ((k+1)/K)^2) and counts by its stratum's width. A third of the tokens are masked then, not
  half.
- A token that is dear under one mask is dear under others. Its mean nats a under the other masks are taken
  away where it is masked, and given back to its whole block (a control variate):

    (M/n) sum over S of (nats_i - a_i) + sum over the block of a_i

  has the same mean whatever a, for a does not depend on S.

Passes are as large as memory and signs of life allow; masks do not depend on how they are cut.
Shapes: B batch, G sequences of a pass, K masks of a sequence, L length, M masked tokens of a pass.
"""

from collections.abc import Callable, Generator
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.network.model import Denoiser, evaluating
from trainer.objectives.diffusion_loss import masked_cross_entropy
from trainer.objectives.subsets import subsets_at


class FineDraws(NamedTuple):
    """The masks of one sequence, or of several with B in front; on the CPU."""

    masked_KL: Tensor  # bool
    scale_KL: Tensor  # float64: M / n of the token's block
    width_K: Tensor  # float64, in all 1
    u_K: Tensor  # float64, a mean over blocks: p of a mask that is drawn by its rate

    def to(self, device: torch.device) -> "FineDraws":
        return FineDraws(*(each.to(device) for each in self))


# nats_M of the masked tokens, in their order: (x0_GL, the draws of G sequences) -> nats_M.
Nats = Callable[[Tensor, FineDraws], Tensor]


def fine_subset_bound(
    model: Denoiser, x0_BL: Tensor, block_size: int, draws: int, seeds_B: list[int], at_once: int
) -> Generator[None, None, Tensor]:
    """nats_BL, float64: each token's share. Yields None after each pass of about `at_once` tokens."""
    length, mask_id = x0_BL.shape[1], model.shape.mask_id

    def nats(x0_GL: Tensor, drawn: FineDraws) -> Tensor:
        xt_GKL = torch.where(drawn.masked_KL, mask_id, x0_GL[:, None])
        return masked_cross_entropy(model, x0_GL, xt_GKL, drawn.masked_KL, block_size)

    def draw(seed: int) -> FineDraws:
        return fine_subsets(length, block_size, draws, seed)

    return (yield from in_passes(model, x0_BL, seeds_B, draws, draw, nats, at_once, length - block_size))


def fine_subsets(length: int, block_size: int, draws: int, seed: int) -> FineDraws:
    """Of each block and stratum a subset of n tokens. Within a mask u is stratified over the blocks, too."""
    generator = torch.Generator().manual_seed(seed)
    blocks = length // block_size
    first_K, width_K = strata(draws)
    stratum_KN = torch.rand(draws, blocks, generator=generator).argsort(dim=1)
    within_KN = (stratum_KN + torch.rand(draws, blocks, generator=generator, dtype=torch.float64)) / blocks
    u_KN = first_K[:, None] + width_K[:, None] * within_KN
    masked_KL, scale_KL = subsets_at(u_KN, block_size, generator)
    return FineDraws(masked_KL, scale_KL, width_K, u_KN.mean(dim=1))


def strata(draws: int) -> tuple[Tensor, Tensor]:
    """first_K and width_K, float64, of the K parts of (0, 1)."""
    edges = (torch.arange(draws + 1, dtype=torch.float64) / draws) ** 2
    return edges[:-1], edges.diff()


def in_passes(
    model: Denoiser,
    x0_BL: Tensor,
    seeds_B: list[int],
    draws: int,
    draw: Callable[[int], FineDraws],
    nats: Nats,
    at_once: int,
    beside: int,
) -> Generator[None, None, Tensor]:
    """nats_BL. draw: the `draws` masks of a sequence, by its seed. beside: tokens that stand beside the
    masked
    copies of a sequence, once in a pass.
    """
    length = x0_BL.shape[1]
    most = max(1, (at_once - beside) // length)
    copies = -(-draws // -(-draws // most))  # of a sequence in a pass: parts of about one size
    group = max(1, at_once // (copies * length + beside))
    shares = []
    for first in range(0, len(x0_BL), group):
        x0_GL = x0_BL[first : first + group]
        drawn = [draw(seed) for seed in seeds_B[first : first + group]]
        of_group = FineDraws(*map(torch.stack, zip(*drawn, strict=True))).to(x0_BL.device)
        parts = []
        for part in zip(*(each.split(copies, dim=1) for each in of_group), strict=True):
            pass_draws = FineDraws(*part)
            with evaluating(model):
                nats_M = nats(x0_GL, pass_draws)
            masked_GKL = pass_draws.masked_KL
            zeros_GKL = torch.zeros(masked_GKL.shape, dtype=torch.float64, device=x0_BL.device)
            parts.append(zeros_GKL.masked_scatter(masked_GKL, nats_M.double()))
            yield None
        shares.append(controlled(torch.cat(parts, dim=1), of_group))
    return torch.cat(shares)


def controlled(nats_BKL: Tensor, drawn: FineDraws) -> Tensor:
    """nats_BL from the nats under every mask, 0 where not masked. Position 0 (BOS) is never masked: 0."""
    masked_BKL = drawn.masked_KL.double()
    others_BKL = masked_BKL.sum(dim=1, keepdim=True) - masked_BKL
    # 0 where no other mask has the token: that, too, does not depend on this one.
    a_BKL = (nats_BKL.sum(dim=1, keepdim=True) - nats_BKL) / others_BKL.clamp(min=1)
    share_BKL = drawn.scale_KL * masked_BKL * (nats_BKL - a_BKL) + a_BKL
    return (drawn.width_K[..., None] * share_BKL).sum(dim=1)
