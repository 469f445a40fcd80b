"""SEDD's own sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainer.sampling.base import Filled, Sampled, Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.sampling.decoder import Decoder
    from trainer.sampling.words import Draws

LAST_MOVE_CHANCE = 1e-5


class Analytic(Sampler):
    """T steps by Tweedie's formula (Lou et al. 2024, arXiv 2310.16834, theorem 4.2), then a final denoising.

    For absorbing diffusion a step from p to q decides a masked token with probability (1 - q / p) * e^z, at
    most 1, where e^z is the mass of its scores (network/score.py), and draws the word from
    softmax(logits): an ancestral step where they sum to 1. p falls evenly from 1 to 1e-5; the final
    denoising decides what is left. The network is told p, so every step is a pass: NFE is T + 1 (the
    public code reports T), or less for a sample that is complete before.
    """

    name: Literal["analytic"] = "analytic"
    steps: int = Field(64, ge=1, le=1_000_000, description="T, without the final denoising.")

    @classmethod
    def suits(cls, source: type[Sampled]) -> bool:
        return source.told

    def fill(self, decoder: Decoder, block_BP: Tensor, masked_BP: Tensor, draws: Draws) -> Filled:
        import torch

        from trainer.sampling.words import log_masses, words

        block_BP, masked_BP = block_BP.clone(), masked_BP.clone()
        batch, positions = block_BP.shape
        nfe_B = torch.zeros(batch, dtype=torch.long, device=block_BP.device)
        pass_BP = torch.zeros_like(block_BP)
        grid = [1 - (1 - LAST_MOVE_CHANCE) * step / self.steps for step in range(self.steps + 1)]
        for p, q in zip(grid, [*grid[1:], 0.0], strict=True):
            if not masked_BP.any():
                break
            nfe_B += masked_BP.any(dim=1)
            stay_BP, u_BP = draws.uniform(2 * positions).split(positions, dim=1)
            hidden_MD = decoder.hidden(block_BP, masked_BP, p)
            decided_M = torch.ones_like(stay_BP[masked_BP], dtype=torch.bool)
            if q:
                decided_M = stay_BP[masked_BP] >= 1 - (1 - q / p) * log_masses(decoder, hidden_MD, p).exp()
            if decided_M.any():
                decided_BP = masked_BP.masked_scatter(masked_BP, decided_M)
                block_BP[decided_BP] = words(decoder, hidden_MD[decided_M], u_BP[decided_BP], p, self.nucleus)
                masked_BP &= ~decided_BP
                pass_BP = torch.where(decided_BP, nfe_B[:, None], pass_BP)
        return Filled(block_BP, nfe_B, pass_BP)
