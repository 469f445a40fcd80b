"""T steps of the reverse process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from trainer.sampling.base import Filled, Sampled, Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.sampling.decoder import Decoder
    from trainer.sampling.words import Draws


class Ancestral(Sampler):
    """From p = 1 to 0 in T equal steps; a masked token stays so with probability p(t - dt) / p(t).

    Sahoo et al. 2024, arXiv 2406.07524. The step that decides a token is then uniform over the T, and is
    drawn at once. A step that decides nothing needs no pass: the network is not told the time.
    """

    name: Literal["ancestral"] = "ancestral"
    steps: int = Field(64, ge=1, le=1_000_000, description="T, for each block.")

    @classmethod
    def suits(cls, source: type[Sampled]) -> bool:
        return source.noisy and not source.told

    def fill(self, decoder: Decoder, block_BP: Tensor, masked_BP: Tensor, draws: Draws) -> Filled:
        import torch

        from trainer.sampling.words import words

        block_BP = block_BP.clone()
        batch, positions = block_BP.shape
        when_BP, u_BP = draws.uniform(2 * positions).split(positions, dim=1)
        step_BP = (when_BP * self.steps).long()
        nfe_B = torch.zeros(batch, dtype=torch.long, device=block_BP.device)
        pass_BP = torch.zeros_like(block_BP)
        for step in step_BP[masked_BP].unique().tolist():
            move_chance = 1 - step / self.steps
            decided_BP = masked_BP & (step_BP == step)
            hidden_MD = decoder.hidden(block_BP, decided_BP, move_chance)
            block_BP[decided_BP] = words(decoder, hidden_MD, u_BP[decided_BP], move_chance, self.nucleus)
            nfe_B += decided_BP.any(dim=1)
            pass_BP = torch.where(decided_BP, nfe_B[:, None], pass_BP)
        return Filled(block_BP, nfe_B, pass_BP)
