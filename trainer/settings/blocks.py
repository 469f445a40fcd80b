"""Which block sizes a phase trains, beside the one that it is ranked, pruned and sampled at. No torch.

The size of a step is a function of the phase's seed and the step alone, so that a run that was stopped goes
on with the same bits. A new way is one class and its place in the union at the foot.
"""

from abc import abstractmethod
from bisect import bisect_right
from itertools import accumulate
from math import isfinite
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from trainer.randomness import seed_of
from trainer.values import Settings


class Blocks(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    # Whether the size depends on how far the phase has come.
    moves: ClassVar[bool] = False

    @abstractmethod
    def shares_of(self, block_size: int) -> tuple[tuple[int, float], ...]:
        """(size, share of the steps), in their order; the shares sum to 1. block_size: the phase's."""

    @abstractmethod
    def size(self, block_size: int, seed: int, step: int, steps: int) -> int:
        """What a step of the phase trains. step counts from 1; seed is the phase's."""


class FixedBlocks(Blocks):
    """The phase's block_size at every step."""

    name: Literal["fixed"] = "fixed"

    def shares_of(self, block_size: int) -> tuple[tuple[int, float], ...]:
        return ((block_size, 1.0),)

    def size(self, block_size: int, seed: int, step: int, steps: int) -> int:
        return block_size


class SeveralBlocks(Blocks):
    """Abstract: sizes, each with its share of the steps."""

    sizes: tuple[int, ...] = Field(
        (),
        description="Block sizes, each of which divides data.length. Default: block_size and its halves, as "
        "long as they are whole, smallest first.",
    )
    shares: tuple[float, ...] = Field(
        (), description="Of the steps, one for each of the sizes, in any unit. Default: equal ones."
    )

    @field_validator("sizes", "shares", mode="before")
    @classmethod
    def _one_or_more(cls, raw: Any) -> Any:
        return raw if isinstance(raw, list | tuple) else [raw]

    @model_validator(mode="after")
    def _belong_together(self) -> "SeveralBlocks":
        if any(size < 1 for size in self.sizes):
            raise ValueError(f"sizes {list(self.sizes)}: a block has 1 token at least")
        if self.shares and len(self.shares) != len(self.sizes):
            raise ValueError(f"{len(self.shares)} shares for {len(self.sizes)} sizes: one for each")
        if any(share <= 0 for share in self.shares):
            raise ValueError(f"shares {list(self.shares)}: each is greater than 0")
        if not isfinite(sum(self.shares)):
            raise ValueError(f"shares {list(self.shares)}: their sum is infinite; any unit will do")
        return self

    def shares_of(self, block_size: int) -> tuple[tuple[int, float], ...]:
        sizes = self.sizes or _halves(block_size)
        shares = self.shares or (1.0,) * len(sizes)
        return tuple((size, share / sum(shares)) for size, share in zip(sizes, shares, strict=True))

    def _at(self, block_size: int, place: float) -> int:
        """The size at a place in [0, 1) of the shares, laid end to end."""
        sizes, shares = zip(*self.shares_of(block_size), strict=True)
        return sizes[bisect_right(list(accumulate(shares))[:-1], place)]


class Curriculum(SeveralBlocks):
    """One size after the other: up by steps (T*, Xia et al. 2026, arXiv 2601.11214: 4, 8, 16, 32), or up, and
    then down to the size that is used (LLaDA2.0)."""

    moves: ClassVar[bool] = True
    name: Literal["curriculum"] = "curriculum"

    def size(self, block_size: int, seed: int, step: int, steps: int) -> int:
        return self._at(block_size, (step - 1) / steps)


class Mixture(SeveralBlocks):
    """A size drawn for each step: the objective's mean is that of the sizes by their shares (BlockGen, arXiv
    2606.02241, and DiDi, arXiv 2601.13599, train one model for all sizes so)."""

    name: Literal["mixture"] = "mixture"

    def size(self, block_size: int, seed: int, step: int, steps: int) -> int:
        return self._at(block_size, seed_of(seed, "block size", step) / 2**63)


def _halves(block_size: int) -> tuple[int, ...]:
    """12 -> (3, 6, 12): each divides what 12 divides."""
    sizes = [block_size]
    while sizes[0] % 2 == 0:
        sizes.insert(0, sizes[0] // 2)
    return tuple(sizes)


AnyBlocks = Annotated[FixedBlocks | Curriculum | Mixture, Field(discriminator="name")]
