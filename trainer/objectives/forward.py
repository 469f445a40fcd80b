"""The forward process: times per block, masks per token, and what the loss is charged for them.

Shapes: B batch, L length, N blocks, P positions in a block (L = N * P).
Everything is drawn on the generator's device and then moved, so a CPU and a GPU see the same masks.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from trainer.noise.masking import Masking
from trainer.noise.reweighting import normalizer
from trainer.settings.phase import Phase


class Noised(NamedTuple):
    """A batch under noise. N is L where every token has a time of its own."""

    xt_BL: torch.Tensor
    masked_BL: torch.Tensor  # bool
    move_chance_BN: torch.Tensor
    charge_BN: torch.Tensor  # what the loss of a block's masked tokens is multiplied by


def noise(
    x0_BL: torch.Tensor, phase: Phase, progress: float, mask_id: int, generator: torch.Generator
) -> Noised:
    """A time for each block, its masks, and their charge: the importance times w * loss_scale, over the
    density of times.

    loss_scale = p'/p makes the mean over time and masks the NELBO where w = 1; the importance keeps that mean
    where the masks are not uniform (trainer/noise/masking.py), and the density where times are not
    (trainer/noise/times.py). progress in [0, 1] is the phase's.
    """
    batch, length = x0_BL.shape
    u_BN = times(batch, length, phase, generator, x0_BL.device)
    level, over_density_BN = phase.time.level(phase.schedule, phase.clip, u_BN, progress)
    xt_BL, masked_BL, importance_BN = corrupt(x0_BL, level.move_chance, phase.masking, mask_id, generator)
    mean_weight = normalizer(phase.reweighting, phase.schedule, phase.clip, progress)
    charge_BN = importance_BN * over_density_BN * level.loss_scale * phase.reweighting.weight(level)
    charge_BN = charge_BN / mean_weight
    if phase.loss_norm != "tokens":
        charge_BN = charge_BN * normalised(masked_BL, phase.loss_norm)
    return Noised(xt_BL, masked_BL, level.move_chance, charge_BN)


def times(
    batch: int, length: int, phase: Phase, generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """u_BN in [0, 1) of every block, of its sequence, or of every token (N = L): `phase.time.per`."""
    blocks = length // phase.block_size
    draws = {"block": blocks, "sequence": 1, "token": length}[phase.time.per]
    u_BN = sample_time(batch, draws, antithetic=phase.antithetic, generator=generator, device=device)
    return u_BN.expand(-1, blocks).contiguous() if draws == 1 else u_BN


def normalised(masked_BL: torch.Tensor, by: str) -> float | torch.Tensor:
    """What makes of a mean over a batch's maskable tokens the loss of a sequence, or of a masked token.

    sequences: the sum over B, dLLM's loss_norm_type `batch`; its `sequence` is `token` here, for all
    sequences have L - 1 maskable tokens. masked: over the masked ones, as in DiffuLLaMA (Gong et al. 2025,
    arXiv 2410.17891); a ratio of two random numbers, and no bound in the mean. dLLM: ZHZisZZ/dllm,
    trainers/mdlm.py."""
    maskable = masked_BL.shape[1] - 1
    if by == "sequences":
        return float(maskable)
    return len(masked_BL) * maskable / masked_BL.sum().clamp(min=1)


def sample_time(
    batch: int, blocks: int, *, antithetic: bool, generator: torch.Generator, device: torch.device | str
) -> torch.Tensor:
    """u_BN in [0, 1), one per block of every sequence; `Clip.time` turns it into t.

    antithetic: one draw from each of B * N equal strata, in random order: else t would rise with
    the batch row and the block, and so would the mode of a bimodal schedule.
    """
    count = batch * blocks
    u = torch.rand(count, generator=generator, device=generator.device, dtype=torch.float64)
    if antithetic:
        strata = torch.randperm(count, generator=generator, device=generator.device)
        u = (strata + u) / count
    # The largest float32 below 1: rounding must not give 1 itself.
    u_BN = u.float().clamp(max=1 - 2**-24).view(batch, blocks)
    return u_BN.to(device)


def mask_tokens(
    x0_BL: torch.Tensor,
    move_chance_BN: torch.Tensor,
    mask_id: int,
    generator: torch.Generator,
    redrawn: Callable[[torch.Tensor], torch.Tensor] = lambda masked_BL: masked_BL,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(xt_BL, masked_BL): each token becomes mask_id with its block's move_chance, independently. With
    blocks of one token, N = L, each token has a chance of its own.

    redrawn: what becomes of the masks then. Position 0 (BOS) is given: never masked in the end.
    """
    batch, length = x0_BL.shape
    blocks = move_chance_BN.shape[1]
    draw_BL = torch.rand(batch, length, generator=generator, device=generator.device).to(x0_BL.device)
    masked_BNP = draw_BL.view(batch, blocks, -1) < move_chance_BN[:, :, None]
    masked_BL = redrawn(masked_BNP.view(batch, length))
    masked_BL[:, 0] = False
    return torch.where(masked_BL, mask_id, x0_BL), masked_BL


def corrupt(
    x0_BL: torch.Tensor,
    move_chance_BN: torch.Tensor,
    masking: Masking,
    mask_id: int,
    generator: torch.Generator,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(xt_BL, masked_BL, importance_BN): masks at the mean rate move_chance, chosen as `masking` has it.

    importance: how much likelier the block's mask is under uniform masking (W of trainer/noise/masking.py). A
    block's loss times it has the mean that it has under uniform masking, at every time. Uniform: 1; and
    resampled: 1, though its mean is another.
    """
    p_BN1 = move_chance_BN[..., None]
    tilt_BNP = masking.tilt(x0_BL.view(len(x0_BL), move_chance_BN.shape[1], -1))
    tilt_BNP[:, 0, 0] = 0  # BOS: no part of the mask, and the mean of the others stays p without it
    tilt_BNP[:, 0, 1:] -= tilt_BNP[:, 0, 1:].mean(dim=-1, keepdim=True)
    chance_BNP = p_BN1 + p_BN1 * (1 - p_BN1) * tilt_BNP

    def redrawn(masked_BL: torch.Tensor) -> torch.Tensor:
        return masking.redrawn(masked_BL.view_as(tilt_BNP), move_chance_BN, generator).view_as(masked_BL)

    xt_BL, masked_BL = mask_tokens(x0_BL, chance_BNP.flatten(1), mask_id, generator, redrawn)
    masked_BNP = masked_BL.view_as(tilt_BNP)
    log_ratio_BNP = torch.where(masked_BNP, (1 - p_BN1) * tilt_BNP, -p_BN1 * tilt_BNP).log1p()
    return xt_BL, masked_BL, (-log_ratio_BNP.sum(dim=-1)).exp()
