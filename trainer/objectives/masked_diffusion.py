"""MDLM: the whole sequence is one masked diffusion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from trainer.objectives.base import Objective, TokenLoss

if TYPE_CHECKING:
    import torch

    from trainer.config import Phase
    from trainer.model import Denoiser, Shape
    from trainer.sampling.decoder import Decoder


class MaskedDiffusion(Objective):
    """BD3-LM with one block (Sahoo et al. 2024, arXiv 2406.07524): no clean tokens beside the noisy ones."""

    name: Literal["mdlm"] = "mdlm"
    whole: ClassVar[bool] = True

    def problem(self, phase: Phase, length: int) -> tuple[str, str] | None:
        if phase.block_size != length:
            return (
                "block_size",
                f"mdlm has one block, of data.length = {length}, not {phase.block_size}",
            )
        return None

    def build(self, shape: Shape, dropout: float) -> Denoiser:
        from trainer.model import Denoiser

        return Denoiser(shape, causal=False, dropout=dropout)

    def loss(
        self, model: Denoiser, x0_BL: torch.Tensor, phase: Phase, progress: float, generator: torch.Generator
    ) -> TokenLoss:
        from trainer.diffusion import diffusion_loss

        return diffusion_loss(model, x0_BL, phase, progress, generator)

    def bound(
        self, model: Denoiser, x0_BL: torch.Tensor, block_size: int, draws: int, seeds_B: list[int]
    ) -> torch.Tensor:
        from trainer.evaluation.subsets import subset_bound

        return subset_bound(model, x0_BL, block_size, draws, seeds_B)

    def passport(self, block_size: int, draws: int) -> dict[str, Any]:
        from trainer.evaluation.subsets import passport

        return passport(block_size, draws)

    def decoder(self, model: Denoiser, block_size: int) -> Decoder:
        from trainer.sampling.decoder import WholeDecoder

        return WholeDecoder(model)
