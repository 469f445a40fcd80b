"""Weights on the loss, as functions of the log-SNR lambda. They change what is trained, never the metric.

Shi & Titsias 2025, arXiv 2511.19664; docs/formulas.md section 3. Written in lambda, a weight gives the same
expected loss under every monotone schedule that covers (0, 1); only `simple` depends on t itself.
A new one is one class and one line in the union at the foot.
"""

import math
from abc import abstractmethod
from functools import lru_cache
from itertools import accumulate
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from trainer.noise.arrays import Array, namespace
from trainer.noise.clips import Interval
from trainer.noise.schedules import NoiseLevel, NoiseSchedule
from trainer.values import Settings, kinds

_NORMALIZE = (
    "Divide by the weight's mean over the schedule and clip, so that gradient clipping means the same."
)


class Reweighting(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    # What its name means in other code, where that is not this.
    elsewhere: ClassVar[str] = ""

    @abstractmethod
    def weight(self, level: NoiseLevel) -> Array:
        """w >= 0, finite, in the shape and type of the level's move_chance; see `normalizer`."""


class Unweighted(Reweighting):
    """w = 1: the NELBO itself."""

    name: Literal["none"] = "none"

    def weight(self, level: NoiseLevel) -> Array:
        return 0 * level.move_chance + 1


class Edm(Reweighting):
    """w = N(lambda; 2.4, 2.4^2) (e^-lambda + 0.5^2) / 0.5^2 (Karras et al. 2022, arXiv 2206.00364)."""

    elsewhere: ClassVar[str] = "Kingma & Gao's; a public fork of Duo has edm and iddpm the other way around"

    name: Literal["edm"] = "edm"
    normalize: bool = Field(False, description=_NORMALIZE)

    def weight(self, level: NoiseLevel) -> Array:
        log_snr = level.log_snr
        exp = namespace(log_snr).exp
        normal = exp(-(((log_snr - 2.4) / 2.4) ** 2) / 2) / (2.4 * math.sqrt(2 * math.pi))
        return normal * (exp(-log_snr) + 0.25) / 0.25


class Iddpm(Reweighting):
    """w = sech(lambda / 2) = 2 sqrt(p (1 - p)) (Nichol & Dhariwal 2021, arXiv 2102.09672)."""

    elsewhere: ClassVar[str] = "Kingma & Gao's; a public fork of Duo has iddpm and edm the other way around"

    name: Literal["iddpm"] = "iddpm"
    normalize: bool = Field(False, description=_NORMALIZE)

    def weight(self, level: NoiseLevel) -> Array:
        log_snr = level.log_snr
        return 1 / namespace(log_snr).cosh(log_snr / 2)


class Sigmoid(Reweighting):
    """w = sigmoid(-lambda + k); k = 0: w = p (Kingma & Gao 2023, arXiv 2303.00848)."""

    name: Literal["sigmoid"] = "sigmoid"
    k: float = Field(0.0, ge=-20, le=20, description="A larger k gives lightly masked blocks more weight.")
    normalize: bool = Field(False, description=_NORMALIZE)

    def weight(self, level: NoiseLevel) -> Array:
        log_snr = level.log_snr
        return 1 / (1 + namespace(log_snr).exp(log_snr - self.k))


class FlowMatching(Reweighting):
    """w = e^(-lambda / 2) = sqrt(p / (1 - p)). Its variance is infinite under log-linear."""

    name: Literal["fm"] = "fm"
    normalize: bool = Field(False, description=_NORMALIZE)

    def weight(self, level: NoiseLevel) -> Array:
        log_snr = level.log_snr
        return namespace(log_snr).exp(-log_snr / 2)


class Simple(Reweighting):
    """w = p / p', which leaves the plain cross-entropy of the masked tokens. Depends on t itself."""

    name: Literal["simple"] = "simple"
    normalize: bool = Field(False, description=_NORMALIZE)

    def weight(self, level: NoiseLevel) -> Array:
        return 1 / level.loss_scale


_KNOT = "What the weight is drawn towards at p = {}; at both ends it is the number itself."


def _knot(p: float) -> Any:
    return Field(1.0, ge=1e-3, le=100, description=_KNOT.format(p))


class Curve(Reweighting):
    """w is a curve over the masking rate itself: under a schedule that covers (0, 1), what is emphasised.

    Six numbers that a search may move one by one, where the other weights are families of none or one: the
    density d(p) of docs/objectives.md as a search space. The schedule then moves its variance alone. The
    curve is the Bernstein polynomial of the six: smooth, within their range, and rising where they rise.
    """

    name: Literal["curve"] = "curve"
    d0: float = _knot(0)
    d20: float = _knot(0.2)
    d40: float = _knot(0.4)
    d60: float = _knot(0.6)
    d80: float = _knot(0.8)
    d100: float = _knot(1)
    rises: bool = Field(
        False, description="Each number is what is added to those before it: a sum of improved bounds."
    )
    normalize: bool = Field(True, description=_NORMALIZE)

    def weight(self, level: NoiseLevel) -> Array:
        p = level.move_chance
        given = (self.d0, self.d20, self.d40, self.d60, self.d80, self.d100)
        heights = list(accumulate(given)) if self.rises else given
        n = len(heights) - 1
        return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) * height for i, height in enumerate(heights))


AnyReweighting = Annotated[
    Unweighted | Edm | Iddpm | Sigmoid | FlowMatching | Simple | Curve, Field(discriminator="name")
]
REWEIGHTINGS: tuple[type[Reweighting], ...] = kinds(AnyReweighting)


def normalizer(
    reweighting: AnyReweighting, schedule: NoiseSchedule, clip: Interval, progress: float = 0.0
) -> float:
    """What the weight is divided by: its mean where `normalize` is set, else 1."""
    if isinstance(reweighting, Unweighted) or not reweighting.normalize:
        return 1.0
    return mean_weight(reweighting, schedule, clip, progress if schedule.moves else 0.0)


@lru_cache(maxsize=1024)
def mean_weight(
    reweighting: Reweighting, schedule: NoiseSchedule, clip: Interval, progress: float = 0.0
) -> float:
    """c_eff = E_t[w loss_scale p] / E_t[loss_scale p] over the schedule and clip in force, by quadrature.

    Where the schedule covers (0, 1) unclipped this is the integral of w over p.
    """
    import numpy as np

    from trainer.noise.quadrature import quadrature

    u, du = quadrature(schedule, clip, progress)
    level = clip.level(schedule, u, progress)
    mass = du * level.loss_scale * level.move_chance
    return float(np.sum(mass * reweighting.weight(level)) / np.sum(mass))
