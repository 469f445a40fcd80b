"""Complementary masks: a sequence is trained under a mask and under the mask of all its other tokens.

Fast-dLLM v2 (Wu et al. 2025, arXiv 2509.26328) trains each sample in two views, m and 1 - m, so that every
token is predicted once in a step. Where rates p are drawn as often as 1 - p, the second view is a draw of the
same objective: its blocks stand at rate 1 - p, and are charged for that rate, not for p. The loss is the mean
of both views, and a mean over tokens as it was. Of a clip that begins at 0, where 1e-3 stands for 0, rates
below 1e-3 are charged nothing in the second view, and those above 1 - 1e-3 are drawn in the first alone.

Shapes: B batch, K views of a sequence, L length, N blocks.
"""

import torch

from trainer.network.model import Denoiser
from trainer.noise.clips import FIRST_TIME
from trainer.noise.reweighting import normalizer
from trainer.objectives.base import TokenLoss
from trainer.objectives.diffusion_loss import losses_of_views
from trainer.objectives.forward import Noised, normalised
from trainer.settings.phase import Phase


def complement(x0_BL: torch.Tensor, first: Noised, phase: Phase, progress: float, mask_id: int) -> Noised:
    """The other view. Of uniform masks and times, log-linear, as `Phase.problem_of_complement` has it."""
    masked_BL = ~first.masked_BL
    masked_BL[:, 0] = False
    p_BN = 1 - first.move_chance_BN
    level = phase.schedule(p_BN.clamp(min=FIRST_TIME), progress)
    charge_BN = level.loss_scale * phase.reweighting.weight(level)
    charge_BN = charge_BN / normalizer(phase.reweighting, phase.schedule, phase.clip, progress)
    charge_BN = torch.where(p_BN < FIRST_TIME, 0.0, charge_BN)
    if phase.loss_norm != "tokens":
        charge_BN = charge_BN * normalised(masked_BL, phase.loss_norm)
    return Noised(torch.where(masked_BL, mask_id, x0_BL), masked_BL, p_BN, charge_BN)


def loss_of_views(
    model: Denoiser, x0_BL: torch.Tensor, views: list[tuple[torch.Tensor, ...]], block_size: int
) -> TokenLoss:
    """The mean of the views' losses, in one pass: they read the same clean tokens."""
    drawn = [(xt_BL, masked_BL, charge_BN) for xt_BL, masked_BL, _, charge_BN in views]
    losses = losses_of_views(model, x0_BL, drawn, block_size)
    return TokenLoss(torch.stack([each.loss_BL for each in losses], dim=1).mean(dim=1), losses[0].scored_BL)
