"""What the objectives of masked diffusion share: the network, the loss and the bound. B batch, L length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trainer.objectives.base import Objective, TokenLoss

if TYPE_CHECKING:
    import torch

    from trainer.network.model import Denoiser, Shape
    from trainer.settings.phase import Phase


class Diffusion(Objective):
    """Abstract: blocks of masked diffusion, each noised at its own time (diffusion_loss.py)."""

    def build(self, shape: Shape, dropout: float) -> Denoiser:
        from trainer.network.model import Denoiser

        return Denoiser(shape, causal=False, dropout=dropout)

    def draw(
        self, model: Denoiser, x0_BL: torch.Tensor, phase: Phase, progress: float, generator: torch.Generator
    ) -> tuple[torch.Tensor, ...]:
        from trainer.objectives.diffusion_loss import draw

        return draw(model, x0_BL, phase, progress, generator)

    def drawn_loss(
        self, model: Denoiser, x0_BL: torch.Tensor, drawn: tuple[torch.Tensor, ...], phase: Phase
    ) -> TokenLoss:
        from trainer.objectives.diffusion_loss import diffusion_loss

        return diffusion_loss(model, x0_BL, *drawn, block_size=phase.block_size)

    def bound(
        self, model: Denoiser, x0_BL: torch.Tensor, block_size: int, draws: int, seeds_B: list[int]
    ) -> torch.Tensor:
        from trainer.objectives.subsets import subset_bound

        return subset_bound(model, x0_BL, block_size, draws, seeds_B)

    def passport(self, block_size: int, draws: int) -> dict[str, Any]:
        from trainer.objectives.subsets import passport

        return passport(block_size, draws)
