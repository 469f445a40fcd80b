"""Which tokens of a block are masked: all alike, or the rarer ones more often. No torch at module level.

Frequency-informed masking (Kosmopoulou et al. 2025, arXiv 2509.05056) masks token i with a chance p_i of its
own that rises with its rarity, the block's mean staying the schedule's p. Uncorrected, that trains another
objective: not only is a rare token scored more often, every token is also predicted from a context with
fewer rare ones. A weight per token, p / p_i, mends the first and not the second; it is biased wherever a
prediction depends on what else is masked. Exact is the weight of the block's whole mask,

    W = product over its maskable tokens of  p / p_i where masked,  (1 - p) / (1 - p_i) where not,

the ratio of the mask's probabilities: at every time the mean of W * loss over these masks is the mean of the
loss over uniform ones, so that schedules, clips and loss weights mean what they mean without it. The price
is variance: E[W^2] is a product over the tokens of a block. The tilt is therefore kept small in large blocks.
Here p_i = p + p (1 - p) tilt_i with |tilt_i| < 1: inside (0, 1) wherever p is, equal to p at 0 and 1, and the
factors of W are 1 / (1 + (1 - p) tilt_i) and 1 / (1 - p tilt_i).
Shapes: B batch, N blocks, P positions of a block, V vocabulary.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, PrivateAttr

from trainer.settings import Settings

if TYPE_CHECKING:
    import torch

    from trainer.data.packing import Corpus

# Tokens of a block up to which the tilt is the strength's own. E[W^2] is then at most 1.4 at strength 0.5 and
# 4.2 at strength 1, whatever the block size and p; without this it would be 2e39 at L' = 1,024.
FULL_TILT = 16


class Masking(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    @abstractmethod
    def counted(self, corpus: Corpus) -> Masking:
        """The same with what it needs to know of the corpus it trains on: called once, before `tilt`."""

    @abstractmethod
    def tilt(self, x0_BNP: torch.Tensor) -> torch.Tensor:
        """tilt_BNP in (-1, 1), of mean 0 over every block: p_i = p + p (1 - p) tilt_i."""


class Uniform(Masking):
    """Every token of a block with the same chance p."""

    name: Literal["uniform"] = "uniform"

    def counted(self, corpus: Corpus) -> Uniform:
        return self

    def tilt(self, x0_BNP: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.zeros(x0_BNP.shape, device=x0_BNP.device)


class Frequency(Masking):
    """Rarer tokens more often: at strength 1 the rarest of a block with nearly 1 - (1 - p)^2, the commonest
    with nearly p^2. The loss is corrected (W above): its mean is that of uniform masking.

    Rarity is the rank among the tokens of the block by their counts in the train split; equals share a rank,
    and a token that train lacks is the rarest. At block size 1 nothing is left to choose.
    """

    name: Literal["frequency"] = "frequency"
    strength: float = Field(
        0.5,
        ge=0,
        le=1,
        description="How much more often; 0 is uniform. Times sqrt(16 / L') where L' is above 16.",
    )
    _count_V: Any = PrivateAttr(None)

    def counted(self, corpus: Corpus) -> Frequency:
        """Counts the words of the train split: one pass, of at most 50 million tokens."""
        from trainer.evaluation.floors import token_counts

        return self.with_counts(token_counts(corpus.train.tokens_SL, corpus.tokenizer.vocab_size))

    def with_counts(self, count_V: Any) -> Frequency:
        """count_V: how often each word occurs, an array of integers."""
        import torch

        same = self.model_copy()
        same._count_V = torch.as_tensor(count_V)
        return same

    def tilt(self, x0_BNP: torch.Tensor) -> torch.Tensor:
        """The rank as a number: strength * (share of the block that is commoner - share that is rarer)."""
        assert self._count_V is not None, "counted() comes first"
        block_size = x0_BNP.shape[-1]
        count_BNP = self._count_V.to(x0_BNP.device)[x0_BNP]
        sorted_BNP = count_BNP.sort(dim=-1).values
        rarer_BNP = _place(sorted_BNP, count_BNP, right=False)
        commoner_BNP = block_size - _place(sorted_BNP, count_BNP, right=True)
        rank_BNP = (commoner_BNP - rarer_BNP).float() / block_size
        return self.strength * min(1.0, math.sqrt(FULL_TILT / block_size)) * rank_BNP


def _place(sorted_BNP: torch.Tensor, count_BNP: torch.Tensor, *, right: bool) -> torch.Tensor:
    """How many of the block's counts are smaller; with right=True, or equal."""
    import torch

    return torch.searchsorted(sorted_BNP, count_BNP.contiguous(), right=right)


AnyMasking = Annotated[Uniform | Frequency, Field(discriminator="name")]
MASKINGS: tuple[type[Masking], ...] = get_args(get_args(AnyMasking)[0])
