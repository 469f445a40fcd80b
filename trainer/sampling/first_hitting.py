"""One token a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from trainer.sampling.base import Filled, Sampled, Sampler

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.sampling.decoder import Decoder
    from trainer.sampling.words import Draws


class FirstHitting(Sampler):
    """One token a pass, at a position uniform among the masked (Zheng et al. 2025, arXiv 2409.02908).

    The times of its unmaskings, t <- t * u^(1/masked), are not drawn: the network is not told them. Every
    sample decides one token a pass, so a batch needs no more passes than one sample. At P = 1 it is plain
    autoregressive sampling.
    """

    name: Literal["first_hitting"] = "first_hitting"

    @classmethod
    def suits(cls, source: type[Sampled]) -> bool:
        return not source.told

    def fill(self, decoder: Decoder, block_BP: Tensor, masked_BP: Tensor, draws: Draws) -> Filled:
        import torch

        from trainer.sampling.words import words

        block_BP, masked_BP = block_BP.clone(), masked_BP.clone()
        num_masked = int(masked_BP[0].sum())
        pass_BP = torch.zeros_like(block_BP)
        for left in range(num_masked, 0, -1):
            u_B2 = draws.uniform(2)
            nth_B = (u_B2[:, 0] * left).long()
            chosen_BP = masked_BP & (masked_BP.cumsum(dim=1) == nth_B[:, None] + 1)
            hidden_BD = decoder.hidden(block_BP, chosen_BP, left / num_masked)
            block_BP[chosen_BP] = words(decoder, hidden_BD, u_B2[:, 1], left / num_masked, self.nucleus)
            masked_BP &= ~chosen_BP
            pass_BP.masked_fill_(chosen_BP, num_masked - left + 1)
        return Filled(block_BP, torch.full_like(block_BP[:, 0], num_masked), pass_BP)
