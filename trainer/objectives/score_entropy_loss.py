"""Score entropy of absorbing diffusion (SEDD; Lou et al. 2024, arXiv 2310.16834): the loss, and its bound.

The network is read as network/score.py has it. With a = logits - log(V - 1) over the V - 1 words, the
denoising score entropy of a masked token is

    (p' / p) * (sum_y exp(a_y) - 1 - a_x0)  =  (p' / p) * (-log softmax(logits)_x0 + e^z - 1 - z),

z = log sum_y exp(a_y): MDLM's cross-entropy, and a charge for scores that do not sum to 1.
Shapes: B batch, G sequences of a pass, K masks of a sequence, R = B * K, L length, M masked tokens, V
vocabulary."""

import math
from collections.abc import Generator

import torch
from torch import Tensor

from trainer.network.attention import noised
from trainer.network.model import MAX_LOGITS, Denoiser, evaluating
from trainer.network.score import log_mass, sigma_of
from trainer.objectives.base import TokenLoss
from trainer.objectives.fine_bound import FineDraws, in_passes, strata

MIN_ROWS = 512  # whose logits are made at once: fewer are slow

# Tokens of one pass of the bound: bounds memory.
MAX_TOKENS = 2**13


def score_entropy(
    model: Denoiser, x0_BL: Tensor, xt_BL: Tensor, masked_BL: Tensor, move_chance_B: Tensor
) -> Tensor:
    """nats_M: sum exp(a) - 1 - a_x0 of every masked token, in the order of masked_BL's true entries."""
    length = x0_BL.shape[1]
    sigma_B = sigma_of(move_chance_B)
    masked_M = masked_BL.flatten().nonzero().squeeze(1)
    hidden_MD = model.hidden(xt_BL, noised(length, length), masked_M, sigma_B)
    sigma_M = sigma_B[masked_M // length]
    target_M = x0_BL.flatten()[masked_M]
    chunk = max(MIN_ROWS, MAX_LOGITS // model.shape.vocab_size)
    nats = []
    for hidden, sigma, target in zip(*(x.split(chunk) for x in (hidden_MD, sigma_M, target_M)), strict=True):
        logits_MV = model.logits(hidden, sigma)
        a_M = logits_MV.gather(1, target[:, None]).squeeze(1) - math.log(logits_MV.shape[1] - 1)
        nats.append(log_mass(logits_MV).expm1() - a_M)
    return torch.cat(nats)


def score_loss(
    model: Denoiser,
    x0_BL: Tensor,
    xt_BL: Tensor,
    masked_BL: Tensor,
    move_chance_B1: Tensor,
    charge_B1: Tensor,
) -> TokenLoss:
    """The charge times the score entropy of every masked token, in nats."""
    nats_M = score_entropy(model, x0_BL, xt_BL, masked_BL, move_chance_B1.squeeze(1))
    charge_M = charge_B1.expand_as(masked_BL)[masked_BL]
    loss_BL = nats_M.new_zeros(x0_BL.shape).masked_scatter(masked_BL, nats_M * charge_M)
    scored_BL = torch.ones_like(masked_BL)
    scored_BL[:, 0] = False
    return TokenLoss(loss_BL, scored_BL)


def score_bound(model: Denoiser, x0_BL: Tensor, draws: int, seeds_B: list[int]) -> Tensor:
    """nats_BL, float64: each token's share of an unbiased estimate of the bound

        integral over p in (0, 1) of (1/p) E_{mask ~ Bernoulli(p)}[sum of score entropy over the masked] dp.

    p is stratified over the draws. One token, uniform among the M maskable, is masked for certain and
    the others with probability p: n are masked then, and M / n times their sum has this mean. Unlike
    1/p times the sum under Bernoulli(p), its variance is finite.
    """
    batch, length = x0_BL.shape
    drawn = [_draws(length, draws, seed) for seed in seeds_B]
    p_R = torch.cat([p_K for p_K, _ in drawn]).to(x0_BL.device)
    masked_RL = torch.cat([masked_KL for _, masked_KL in drawn]).to(x0_BL.device)
    x0_RL = x0_BL.repeat_interleave(draws, dim=0)
    xt_RL = torch.where(masked_RL, model.shape.mask_id, x0_RL)
    told_R = p_R.to(model.weights_dtype)
    group = max(1, MAX_TOKENS // length)
    with evaluating(model):
        nats_M = torch.cat(
            [
                score_entropy(model, *rows)
                for rows in zip(*(x.split(group) for x in (x0_RL, xt_RL, masked_RL, told_R)), strict=True)
            ]
        )
    weight_R = (length - 1) / masked_RL.sum(dim=1).double() / draws
    nats_RL = torch.zeros(x0_RL.shape, dtype=torch.float64, device=x0_RL.device)
    nats_RL = nats_RL.masked_scatter(masked_RL, nats_M.double()) * weight_R[:, None]
    return nats_RL.view(batch, draws, length).sum(dim=1)


def fine_score_bound(
    model: Denoiser, x0_BL: Tensor, draws: int, seeds_B: list[int], at_once: int
) -> Generator[None, None, Tensor]:
    """The same bound from many masks, by fine_bound.py. Yields None after each pass of about `at_once`
    tokens."""
    length, dtype = x0_BL.shape[1], model.weights_dtype

    def nats(x0_GL: Tensor, drawn: FineDraws) -> Tensor:
        masked_RL = drawn.masked_KL.flatten(0, 1)
        x0_RL = x0_GL.repeat_interleave(drawn.masked_KL.shape[1], dim=0)
        xt_RL = torch.where(masked_RL, model.shape.mask_id, x0_RL)
        return score_entropy(model, x0_RL, xt_RL, masked_RL, drawn.u_K.flatten().to(dtype))

    def draw(seed: int) -> FineDraws:
        return _fine_draws(length, draws, seed)

    return (yield from in_passes(model, x0_BL, seeds_B, draws, draw, nats, at_once, beside=0))


def _fine_draws(length: int, draws: int, seed: int) -> FineDraws:
    generator = torch.Generator().manual_seed(seed)
    first_K, width_K = strata(draws)
    p_K = first_K + width_K * torch.rand(draws, generator=generator, dtype=torch.float64)
    masked_KL = _masked_at(p_K, length, generator)
    scale_K1 = (length - 1) / masked_KL.sum(dim=1, keepdim=True).double()
    return FineDraws(masked_KL, scale_K1.expand(-1, length), width_K, p_K)


def _draws(length: int, draws: int, seed: int) -> tuple[Tensor, Tensor]:
    """p_K, float64, and masked_KL of one sequence, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    p_K = (torch.arange(draws) + torch.rand(draws, generator=generator, dtype=torch.float64)) / draws
    return p_K, _masked_at(p_K, length, generator)


def _masked_at(p_K: Tensor, length: int, generator: torch.Generator) -> Tensor:
    """masked_KL: one token for certain, the others with probability p."""
    draws = len(p_K)
    masked_KL = torch.rand(draws, length, generator=generator, dtype=torch.float64) < p_K[:, None]
    certain_K = torch.randint(1, length, (draws,), generator=generator)
    masked_KL[torch.arange(draws), certain_K] = True
    masked_KL[:, 0] = False
    return masked_KL
