"""The contract of a sampler: how the masked tokens of one block are decided, for all samples in lockstep.

Classes here are frozen settings; torch is imported inside the methods.
Shapes: B batch, P positions of a block.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from pydantic import Field

from trainer.values import Settings

if TYPE_CHECKING:
    import torch

    from trainer.sampling.decoder import Decoder
    from trainer.sampling.words import Draws


class Sampler(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    name: str
    nucleus: float = Field(
        1.0, gt=0, le=1, description="Draw among the most probable tokens up to this sum; 1: among all."
    )

    @abstractmethod
    def fill(
        self,
        decoder: Decoder,
        block_BP: torch.Tensor,
        masked_BP: torch.Tensor,
        draws: Draws,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The block with every masked token decided, and nfe_B: the denoiser passes behind each sample.

        A sample's passes are those it would need alone. masked_BP has equally many true entries in each row.
        """
