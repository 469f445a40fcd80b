"""BD3-LM: blocks one after the other, each a masked diffusion of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from trainer.objectives.base import Objective, TokenLoss

if TYPE_CHECKING:
    import torch

    from trainer.config import Phase
    from trainer.model import Denoiser, Shape
    from trainer.sampling.decoder import Decoder


class BlockDiffusion(Objective):
    """p(x) = prod_b p(x^b | x^<b), each block noised at its own time (Arriola et al. 2025, arXiv 2503.09573).

    At block size 1 with everything masked it is the autoregressive likelihood; at block size L it is MDLM.
    """

    name: Literal["bd3lm"] = "bd3lm"

    def problem(self, phase: Phase, length: int) -> tuple[str, str] | None:
        if length % phase.block_size:
            return "block_size", f"{phase.block_size} does not divide data.length = {length}"
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
        from trainer.sampling.decoder import BlockDecoder

        return BlockDecoder(model, block_size)
