"""The two sides of sampling: what text is drawn from, and how the masked tokens of one block are decided.

Classes here are frozen settings; torch is imported inside the methods.
Shapes: B batch, P positions of a block.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from pydantic import Field

from trainer.values import Settings

if TYPE_CHECKING:
    from torch import Tensor

    from trainer.network.model import Denoiser
    from trainer.sampling.decoder import Decoder
    from trainer.sampling.words import Draws


class Sampled(Settings):
    """Abstract: what an objective says of drawing text from the networks that it trains."""

    # Tokens are masked at times that the phase's schedule and clip draw.
    noisy: ClassVar[bool] = True
    # The network is told how noisy a sequence is.
    told: ClassVar[bool] = False
    # A sample is one block, no longer than the trained length, instead of block after block.
    whole: ClassVar[bool] = False

    name: str

    @abstractmethod
    def decoder(self, model: Denoiser, block_size: int) -> Decoder:
        """What the network predicts of a text, block after block; an empty text to begin with."""


class Filled(NamedTuple):
    block_BP: Tensor  # every token decided
    nfe_B: Tensor  # denoiser passes behind each sample: those that it would need alone
    pass_BP: Tensor  # which of those decided each token, from 1 on; 0: it was given


class Sampler(Settings):
    """Abstract, for all samples of a batch in lockstep. A subclass is final and carries a Literal `name`."""

    name: str
    nucleus: float = Field(
        1.0, gt=0, le=1, description="Draw among the most probable tokens up to this sum; 1: among all."
    )

    @classmethod
    @abstractmethod
    def suits(cls, source: type[Sampled]) -> bool:
        """Whether it draws from such networks. The first of the union that does is their default."""

    @abstractmethod
    def fill(self, decoder: Decoder, block_BP: Tensor, masked_BP: Tensor, draws: Draws) -> Filled:
        """Decides every masked token. masked_BP has equally many true entries in each row."""
