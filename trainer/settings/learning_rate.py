"""How the learning rate goes over a phase, behind its warm-up. No torch.

A new schedule is one class and its place in the union at the foot. Steps are counted as in transformers: the
first step of a decay has the peak rate still, and `final` is what a step behind the last one would have.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import Field

from trainer.values import Settings


class LrSchedule(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    @abstractmethod
    def factor(self, done: int, steps: int, warmup: int) -> float:
        """In [0, 1]: what the peak is multiplied by at the step before which `done` of `steps` are done."""

    @abstractmethod
    def stable(self, steps: int) -> int:
        """How many of the phase's steps, from its first, would have the same rate in a longer one."""


class ConstantRate(LrSchedule):
    """The peak, to the end."""

    name: Literal["constant"] = "constant"

    def factor(self, done: int, steps: int, warmup: int) -> float:
        return 1.0

    def stable(self, steps: int) -> int:
        return steps


class CosineRate(LrSchedule):
    """Half a cosine from the warm-up's end to the phase's (Loshchilov & Hutter 2017, arXiv 1608.03983,
    without
    restarts)."""

    name: Literal["cosine"] = "cosine"
    final: float = Field(0.0, ge=0, lt=1, description="Fraction of the peak that it falls to.")

    def factor(self, done: int, steps: int, warmup: int) -> float:
        come = max(0, done - warmup) / max(1, steps - warmup)
        return self.final + (1 - self.final) * _cosine(come)

    def stable(self, steps: int) -> int:
        return 0


def _linear(come: float) -> float:
    return 1 - come


def _one_minus_sqrt(come: float) -> float:
    return 1 - math.sqrt(come)


def _cosine(come: float) -> float:
    return (1 + math.cos(math.pi * come)) / 2


SHAPES: dict[str, Callable[[float], float]] = {
    "1-sqrt": _one_minus_sqrt,
    "linear": _linear,
    "cosine": _cosine,
}


class WarmupStableDecay(LrSchedule):
    """Warm-up, a stable rate, and a decay at the end (Hu et al. 2024, MiniCPM, arXiv 2404.06395).

    Decay shapes are those of transformers' get_wsd_schedule. 1-sqrt over a fifth of the steps is what Haegele
    et al. 2024 (arXiv 2405.18392) find best. With `decay: 1`, and no warm-up, a phase is a decay alone: the
    branch from a stable pretrain.
    """

    name: Literal["wsd"] = "wsd"
    decay: float = Field(0.2, gt=0, le=1, description="Fraction of the phase, at its end.")
    shape: Literal["1-sqrt", "linear", "cosine"] = Field("1-sqrt", description="Of the decay.")
    final: float = Field(0.0, ge=0, lt=1, description="Fraction of the peak that it falls to.")

    def factor(self, done: int, steps: int, warmup: int) -> float:
        stable = self.stable(steps)
        come = max(0, done - stable) / max(1, steps - stable)
        return self.final + (1 - self.final) * SHAPES[self.shape](come)

    def stable(self, steps: int) -> int:
        return steps - max(1, round(self.decay * steps))


AnyLrSchedule = Annotated[ConstantRate | CosineRate | WarmupStableDecay, Field(discriminator="name")]
