"""Losses written plainly: both halves in full, a logit for every row and word."""

import math

import torch

from tests.reference import masking, schedules, times
from tests.reference.attention import mask
from tests.reference.model import logits
from tests.reference.weights import weight
from trainer.noise.masking import Frequency


def log_probs(weights, heads, xt_BL, x0_BL, block_size, mask_id):
    """log_probs_BLV of SUBS: the mask has probability 0, an unmasked token is carried over."""
    length = x0_BL.shape[1]
    both = torch.cat([xt_BL, x0_BL], dim=1)
    positions = torch.arange(length).repeat(2)
    scores = logits(weights, heads, both, positions, mask(length, block_size))[:, :length]
    words = torch.arange(scores.shape[-1])
    predicted = scores.masked_fill(words == mask_id, -math.inf).log_softmax(dim=-1)
    carried = torch.where(words == xt_BL[..., None], 0.0, -math.inf).to(predicted)
    return torch.where((xt_BL == mask_id)[..., None], predicted, carried)


def nats(weights, heads, xt_BL, x0_BL, block_size, mask_id):
    """nats_BL: -log p(x_0), 0 where not masked."""
    picked = log_probs(weights, heads, xt_BL, x0_BL, block_size, mask_id).gather(-1, x0_BL[..., None])
    return -picked.squeeze(-1)


def ar_nats(weights, heads, x0_BL, mask_id):
    """nats_BL of the L - 1 targets, and 0 for BOS."""
    length = x0_BL.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    scores = logits(weights, heads, x0_BL, torch.arange(length), causal)[:, :-1]
    words = torch.arange(scores.shape[-1])
    predicted = scores.masked_fill(words == mask_id, -math.inf).log_softmax(dim=-1)
    picked = predicted.gather(-1, x0_BL[:, 1:, None]).squeeze(-1)
    return torch.cat([torch.zeros(len(x0_BL), 1).to(picked), -picked], dim=1)


def score_entropy_nats(weights, heads, xt_BL, x0_BL, p_B, mask_id):
    """(sum of s - r log s_x0 + r (log r - 1)) / r of masked tokens, as Lou et al. 2024 write it; else 0.

    s are the scores, r = 1 / (e^sigma - 1). Times r * dsigma = p' / p it is the loss.
    """
    length, vocab_size = x0_BL.shape[1], len(weights["vocab_embed.embedding"])
    sigma_B = (-torch.log1p(-p_B)).clamp(max=-math.log(1e-3))
    everything = torch.ones(length, length, dtype=torch.bool)
    scores = logits(weights, heads, xt_BL, torch.arange(length), everything, sigma_B)
    r_B11 = 1 / torch.expm1(sigma_B)[:, None, None]
    log_s = scores + r_B11.log() - math.log(vocab_size - 1)
    words = torch.arange(vocab_size) != mask_id
    r_BL = r_B11.squeeze(-1).expand(xt_BL.shape)
    log_s_x0 = log_s.gather(-1, x0_BL[..., None]).squeeze(-1)
    nats = log_s[..., words].exp().sum(-1) - r_BL * log_s_x0 + r_BL * (r_BL.log() - 1)
    return torch.where(xt_BL == mask_id, nats / r_BL, 0.0)


def noise(phase, counts, x0_L, u_N, draw_L, progress):
    """(masked_L, p_N, charge_N): of one sequence, block by block and token by token.

    u_N places each block in [low, high] of the clip, by the density of times; a token is masked where its
    draw is below its chance.
    The charge is what the nats of a block's masked tokens are multiplied by.
    """
    length = len(x0_L)
    block_size = length // len(u_N)
    strength = phase.masking.strength if isinstance(phase.masking, Frequency) else 0.0
    masked_L, p_N, charge_N = [], [], []
    for first, u in zip(range(0, length, block_size), u_N, strict=True):
        low, high = max(phase.clip.low, 1e-3), max(phase.clip.high, 1e-3)
        start, end = next((a, b) for a, b in reversed(phase.schedule.parts) if u >= a)
        share, over_density = times.drawn(phase.time, (u - start) / (end - start))
        t = start + (end - start) * (low + (high - low) * share)
        p, scale = 1.0, 1.0
        if low < 1:
            p = schedules.move_chance(phase.schedule, t, progress)
            scale = schedules.loss_scale(phase.schedule, t, progress, step=1e-8)
        given = 1 if first == 0 else 0  # BOS
        each = masking.chances(x0_L[first : first + block_size], counts, p, strength, given)
        chosen = [
            draw < chance for draw, chance in zip(draw_L[first : first + block_size], each, strict=True)
        ]
        uniform = masking.probability(chosen[given:], [p] * (block_size - given))
        masked_L += chosen
        p_N.append(p)
        charge_N.append(
            uniform
            / masking.probability(chosen[given:], each[given:])
            * over_density
            * scale
            * weight(phase.reweighting, p, scale)
        )
    return masked_L, p_N, charge_N
