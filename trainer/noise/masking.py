"""Which tokens of a block are masked: all alike, or the rarer ones more often; and how many of them may be.
No torch at module level.

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
Shapes: B batch, N blocks, P positions of a block, V vocabulary, A numbers of masked tokens.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr

from trainer.noise.clips import FIRST_TIME, AnyClip, AutoClip, Clip
from trainer.values import Settings, kinds

if TYPE_CHECKING:
    import numpy as np
    import torch

# Tokens of a block up to which the tilt is the strength's own. E[W^2] is then at most 1.4 at strength 0.5 and
# 4.2 at strength 1, whatever the block size and p; without this it would be 2e39 at L' = 1,024.
FULL_TILT = 16


class Masking(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    # The loss times W has the mean that it has under uniform masking: the objective stays a bound.
    unbiased: ClassVar[bool] = True

    @abstractmethod
    def counted(self, count: Callable[[], np.ndarray]) -> Masking:
        """The same with what it needs to know of the text it trains on: called once, before `tilt`.

        count: says how often each word occurs in the train split, count_V. It takes a pass over it.
        """

    @abstractmethod
    def tilt(self, x0_BNP: torch.Tensor) -> torch.Tensor:
        """tilt_BNP in (-1, 1), of mean 0 over every block: p_i = p + p (1 - p) tilt_i."""

    def problem(self, block_size: int, clip: AnyClip) -> str | None:
        """A sentence where it makes no sense for blocks of this size at these times, else None."""
        return None

    def corrected(self, block_size: int, clip: AnyClip) -> bool:
        """Whether the loss has the mean of uniform masks in blocks of this size at these times."""
        return self.unbiased

    def within(self, clip: Clip) -> Masking:
        """The same with what it needs to know of the interval of time in force: called before `redrawn`."""
        return self

    def redrawn(
        self, masked_BNP: torch.Tensor, move_chance_BN: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """The masks, those that it does not accept drawn again."""
        return masked_BNP


class _Untilted(Masking):
    """Abstract: every token of a block with the same chance p."""

    def counted(self, count: Callable[[], np.ndarray]) -> Masking:
        return self

    def tilt(self, x0_BNP: torch.Tensor) -> torch.Tensor:
        import torch

        return torch.zeros(x0_BNP.shape, device=x0_BNP.device)


class Uniform(_Untilted):
    """Every token of a block with the same chance p."""

    name: Literal["uniform"] = "uniform"


class Resampled(_Untilted):
    """Uniform, but a mask whose masked fraction of the block lies outside the clip's [low, high] is drawn
    again at the same time, until it lies inside: `training.resample` of the public BD3-LM code.

    The number of masked tokens is then binomial given that interval, and the set uniform. The loss is not
    corrected (its importance is 1), so what is trained is another objective, and no bound: of blocks of 4
    on [0.3, 0.8] only those with 2 or 3 masked tokens are ever seen. On the whole interval it does nothing.
    The fraction is of all L' tokens of the draw: where BOS was one of them, it is given back afterwards.
    """

    unbiased: ClassVar[bool] = False

    name: Literal["resampled"] = "resampled"
    _interval: Any = PrivateAttr(None)  # (low, high)

    def problem(self, block_size: int, clip: AnyClip) -> str | None:
        if isinstance(clip, AutoClip):
            return "resampled needs a clip with low and high: what auto compares would move its masks as well"
        if not accepted(block_size, *_fractions(clip)):
            return (
                f"resampled would draw for ever: no number of masked tokens of a block of {block_size} is a "
                f"fraction in [{clip.low:g}, {clip.high:g}]"
            )
        return None

    def corrected(self, block_size: int, clip: AnyClip) -> bool:
        return len(accepted(block_size, *_fractions(clip))) > block_size

    def within(self, clip: Clip) -> Resampled:
        same = self.model_copy()
        same._interval = _fractions(clip)
        return same

    def redrawn(
        self, masked_BNP: torch.Tensor, move_chance_BN: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Not by trying again: a mask of the conditional distribution is as likely, and takes one draw."""
        import torch

        assert self._interval is not None, "within() comes first"
        block_size, device = masked_BNP.shape[-1], masked_BNP.device
        numbers = accepted(block_size, *self._interval)
        if len(numbers) > block_size:
            return masked_BNP
        u_BN1, order_BNP = (
            torch.rand(*masked_BNP.shape[:2], size, generator=generator, device=generator.device).to(device)
            for size in (1, block_size)
        )
        rank_BNP = order_BNP.argsort(dim=-1).argsort(dim=-1)
        chance_BNA = _binomial(block_size, numbers, move_chance_BN)
        nth_BN = (u_BN1 >= chance_BNA.cumsum(dim=-1)[..., :-1]).sum(dim=-1)
        again_BNP = rank_BNP < (numbers[0] + nth_BN)[..., None]
        count_BN = masked_BNP.sum(dim=-1)
        refused_BN = (count_BN < numbers[0]) | (count_BN > numbers[-1])
        return torch.where(refused_BN[..., None], again_BNP, masked_BNP)


def accepted(block_size: int, low: float, high: float) -> range:
    """The numbers of masked tokens that are a fraction in [low, high] of a block."""
    slack = 1e-6  # 0.3 of 10 tokens are 3
    return range(math.ceil(low * block_size - slack), math.floor(high * block_size + slack) + 1)


def _fractions(clip: AnyClip) -> tuple[float, float]:
    """1e-3 stands for 0, as it does of times."""
    return (clip.low if clip.low > FIRST_TIME else 0.0), clip.high


def _binomial(block_size: int, numbers: range, p_BN: torch.Tensor) -> torch.Tensor:
    """chance_BNA, float64: of each of the A numbers, given that it is one of them. P tokens at rate p."""
    import torch

    p_BN1 = p_BN.double().clamp(1e-9, 1 - 1e-9)[..., None]
    number_A = torch.tensor(list(numbers), dtype=torch.float64, device=p_BN.device)
    ways_A = -(torch.lgamma(number_A + 1) + torch.lgamma(block_size - number_A + 1))
    log_BNA = ways_A + number_A * p_BN1.log() + (block_size - number_A) * (-p_BN1).log1p()
    return log_BNA.softmax(dim=-1)


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

    def counted(self, count: Callable[[], np.ndarray]) -> Frequency:
        import torch

        same = self.model_copy()
        same._count_V = torch.as_tensor(count())
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


AnyMasking = Annotated[Uniform | Frequency | Resampled, Field(discriminator="name")]
MASKINGS: tuple[type[Masking], ...] = kinds(AnyMasking)
