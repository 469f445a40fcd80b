"""What the objectives of masked diffusion share: the loss and the bound. B batch, L length."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

from trainer.objectives.base import Objective, TokenLoss

if TYPE_CHECKING:
    import torch

    from trainer.network.model import Denoiser
    from trainer.settings.phase import Phase


class Diffusion(Objective):
    """Abstract: blocks of masked diffusion, each noised at its own time (diffusion_loss.py)."""

    def draw(
        self, model: Denoiser, x0_BL: torch.Tensor, phase: Phase, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, ...]:
        """Of complementary masks both views, one behind the other."""
        from trainer.objectives.complement import complement
        from trainer.objectives.forward import noise

        first = noise(x0_BL, phase, progress, model.shape.mask_id, generator)
        if not phase.complementary:
            return first
        return *first, *complement(x0_BL, first, phase, progress, model.shape.mask_id)

    def drawn_loss(
        self, model: Denoiser, x0_BL: torch.Tensor, drawn: tuple[torch.Tensor, ...], phase: Phase
    ) -> TokenLoss:
        from trainer.objectives.complement import loss_of_views
        from trainer.objectives.diffusion_loss import diffusion_loss
        from trainer.objectives.next_token import next_token_nats

        if phase.complementary:
            loss = loss_of_views(model, x0_BL, [drawn[:4], drawn[4:]], phase.block_size)
        else:
            xt_BL, masked_BL, _, charge_BN = drawn
            loss = diffusion_loss(model, x0_BL, xt_BL, masked_BL, charge_BN, block_size=phase.block_size)
        if not phase.ar_weight:
            return loss
        return loss._replace(loss_BL=loss.loss_BL + phase.ar_weight * next_token_nats(model, x0_BL))

    def drawn_losses(
        self,
        model: Denoiser,
        x0_BL: torch.Tensor,
        drawn: Sequence[tuple[torch.Tensor, ...]],
        phases: Sequence[Phase],
    ) -> list[TokenLoss]:
        from trainer.objectives.diffusion_loss import losses_of_views

        if any(phase.complementary or phase.ar_weight for phase in phases):
            return super().drawn_losses(model, x0_BL, drawn, phases)
        views = [(xt_BL, masked_BL, charge_BN) for xt_BL, masked_BL, _, charge_BN in drawn]
        return losses_of_views(model, x0_BL, views, phases[0].block_size)

    def bound(
        self, model: Denoiser, x0_BL: torch.Tensor, block_size: int, draws: int, seeds_B: list[int]
    ) -> torch.Tensor:
        from trainer.objectives.subsets import subset_bound

        return subset_bound(model, x0_BL, block_size, draws, seeds_B)

    def fine_bound(
        self,
        model: Denoiser,
        x0_BL: torch.Tensor,
        block_size: int,
        draws: int,
        seeds_B: list[int],
        at_once: int,
    ) -> Generator[None, None, torch.Tensor]:
        from trainer.objectives.fine_bound import fine_subset_bound

        return fine_subset_bound(model, x0_BL, block_size, draws, seeds_B, at_once)

    def passport(self, block_size: int, draws: int) -> dict[str, Any]:
        from trainer.objectives.subsets import passport

        return passport(block_size, draws)
