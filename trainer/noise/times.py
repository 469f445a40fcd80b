"""At which times training draws its noise: a density on the clip's interval, and for whom a time is drawn.

A density is drawn through its quantile function, so that strata of u stay strata, and the loss is divided by
it: the mean of the objective stays what schedule, clip and weight say, and only its variance moves.
`importance: false` leaves the division out, and trains the reweighted objective.
Bell-shaped times: arXiv 2605.13026; distributions of the mask rate: arXiv 2601.22450; stratified and
importance-sampled times in general: Kingma et al. 2021, arXiv 2107.00630, section 5.
A new one is one class and one line in the union at the foot. docs/formulas.md section 2.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, field_validator, model_validator

from trainer.noise.arrays import Array, chosen, place_in, to_dtype_of, to_float64
from trainer.noise.clips import AutoClip, Interval
from trainer.noise.schedules import NoiseLevel, NoiseSchedule
from trainer.values import Settings, kinds

if TYPE_CHECKING:
    import numpy as np

STEPS = 256  # a density is constant on so many equal steps of the interval: its weights are exact
MOST_WEIGHT = 100.0  # that the loss is multiplied by
NEVER = 1e-6  # a density below this is 0


class Drawn(NamedTuple):
    level: NoiseLevel
    weight: Array  # 1 / density at the time drawn; 1 where importance is off


class TimeDensity(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    per: Literal["block", "sequence", "token"] = Field(
        "block",
        description="Who has a time of its own. Token: its context is masked at the mean rate, "
        "which is another objective, and no bound, in blocks of more than one token.",
    )

    @abstractmethod
    def shape(self) -> tuple[float, ...]:
        """The density on equal steps of the interval, of mean 1."""

    @property
    def corrected(self) -> bool:
        """Whether the loss is divided by the density."""
        return True

    def correcting(self) -> "TimeDensity":
        """The same density, the loss divided by it."""
        return self

    def drawn(self, u: Array) -> tuple[Array, Array]:
        """(share, weight): where in the interval, 0 its beginning and 1 its end, for u in [0, 1]; and what
        the loss is multiplied by. Both in the shape and type of u."""
        height_K, edge_K = _steps(self)
        x = to_float64(u)
        k = place_in(edge_K[1:-1], x)
        height = chosen(height_K, k)
        share = (k + (x - chosen(edge_K, k)) * len(height_K) / height) / len(height_K)
        return to_dtype_of(u, share), to_dtype_of(u, self._weight(height))

    def at(self, share: Array) -> tuple[Array, Array]:
        """(density, weight) at that share of the interval, float64."""
        import numpy as np

        height_K, _ = _steps(self)
        k = place_in(np.arange(1, len(height_K)) / len(height_K), to_float64(share))
        height = chosen(height_K, k)
        return height, self._weight(height)

    def _weight(self, height: Array) -> Array:
        return 1 / height if self.corrected else 0 * height + 1

    def level(self, schedule: NoiseSchedule, clip: Interval, u: Array, progress: float = 0.0) -> Drawn:
        """The schedule's level at the time drawn within the clip for u in [0, 1)."""
        first, width = schedule.part(u)
        share, weight = self.drawn((u - first) / width)
        return Drawn(clip.level(schedule, first + width * share, progress), weight)

    def problem(self, clip: Interval, uniform_masks: bool) -> tuple[str, str] | None:
        """(field, sentence) where it makes no sense beside these, else None."""
        if isinstance(clip, AutoClip) and self != UniformTime():
            return "time", "auto compares clips under uniform times, one a block: leave the time out"
        if self.per == "token" and not uniform_masks:
            return "time.per", "a time for each token leaves a masking rule nothing to choose: use uniform"
        return None


class UniformTime(TimeDensity):
    """Every time of the interval alike."""

    name: Literal["uniform"] = "uniform"

    def shape(self) -> tuple[float, ...]:
        return (1.0,)

    def correcting(self) -> "TimeDensity":
        """The same density, the loss divided by it."""
        return self

    def drawn(self, u: Array) -> tuple[Array, Array]:
        return u, 0 * u + 1


class _Stepped(TimeDensity):
    """Abstract: a density that may be corrected for, or not."""

    importance: bool = Field(
        True,
        description="Divide the loss by the density, so that the objective's mean stays. "
        "False: train what is drawn, another objective.",
    )

    @property
    def corrected(self) -> bool:
        return self.importance

    def correcting(self) -> "TimeDensity":
        return self.model_copy(update={"importance": True})

    @model_validator(mode="after")
    def _weights_are_not_too_large(self) -> "_Stepped":
        import numpy as np

        height_K = np.array(self.shape())
        least = height_K.min()
        if self.importance and least * MOST_WEIGHT < 1:
            largest = "infinity" if least == 0 else f"{1 / least:.3g}"
            square = "infinite" if least == 0 else f"{np.mean(1 / height_K):.3g}"
            raise ValueError(
                f"its weights reach {largest}, more than {MOST_WEIGHT:g}: E[w^2] would be {square}, and 1 is "
                "uniform; widen it, or say importance: false, which trains another objective"
            )
        return self


class BetaTime(_Stepped):
    """A beta distribution over the interval: a, b above 1 are a bell, below 1 the ends, a > b late times."""

    name: Literal["beta"] = "beta"
    a: float = Field(2.0, ge=0.1, le=20, description="Above b: later times, more is masked.")
    b: float = Field(2.0, ge=0.1, le=20, description="Above a: earlier times.")

    def shape(self) -> tuple[float, ...]:
        return _beta(self.a, self.b)


class BellTime(_Stepped):
    """A normal distribution, truncated to the interval, whose beginning is 0 and whose end is 1."""

    name: Literal["bell"] = "bell"
    mu: float = Field(0.5, ge=0, le=1, description="Its mean before truncation, as a share of the interval.")
    sigma: float = Field(0.25, ge=0.01, le=10, description="Its standard deviation, likewise.")

    def shape(self) -> tuple[float, ...]:
        return _bell(self.mu, self.sigma)


class TableTime(_Stepped):
    """A density in numbers: its heights on equal steps of the interval, to any scale."""

    name: Literal["table"] = "table"
    heights: tuple[float, ...] = Field(
        (1.0, 2.0, 1.0), description="On 2 to 64 equal steps, none below 0: [1, 2, 4, 2, 1]."
    )

    @field_validator("heights")
    @classmethod
    def _are_a_density(cls, heights: tuple[float, ...]) -> tuple[float, ...]:
        if not 2 <= len(heights) <= 64:
            raise ValueError(f"{len(heights)} numbers: 2 to 64 are a table")
        if min(heights) < 0 or max(heights) == 0:
            raise ValueError("a density has no number below 0, and one above it")
        if not math.isfinite(sum(heights)):
            raise ValueError("their sum is infinite: any scale will do, take a smaller one")
        return heights

    def shape(self) -> tuple[float, ...]:
        import numpy as np

        return _of_shares(np.array(self.heights))


@lru_cache(maxsize=1024)
def _steps(time: TimeDensity) -> "tuple[np.ndarray, np.ndarray]":
    """(height_K, edge_K+1): the density on equal steps, and its distribution function at their edges."""
    import numpy as np

    height_K = np.array(time.shape())
    sum_K = np.cumsum(height_K)
    return height_K, np.concatenate([[0.0], sum_K / sum_K[-1]])


def _of_shares(share_K: "np.ndarray") -> tuple[float, ...]:
    """Scaled to a mean of 1; what a single-precision u would hardly ever draw is never drawn."""
    import numpy as np

    share_K = np.where(share_K < NEVER * share_K.mean(), 0.0, share_K)
    return tuple((share_K / share_K.mean()).tolist())


@lru_cache(maxsize=1024)
def _beta(a: float, b: float) -> tuple[float, ...]:
    import numpy as np
    from scipy.special import betainc

    return _of_shares(np.diff(betainc(a, b, np.linspace(0, 1, STEPS + 1))))


@lru_cache(maxsize=1024)
def _bell(mu: float, sigma: float) -> tuple[float, ...]:
    import numpy as np
    from scipy.special import ndtr

    return _of_shares(np.diff(ndtr((np.linspace(0, 1, STEPS + 1) - mu) / sigma)))


def _named(raw: Any) -> Any:
    """`time: bell` is short for its name; `per` alone is of uniform times."""
    if isinstance(raw, str):
        return {"name": raw}
    if isinstance(raw, Mapping) and set(raw) == {"per"}:
        return {"name": "uniform", **raw}
    return raw


AnyTime = Annotated[
    UniformTime | BetaTime | BellTime | TableTime, Field(discriminator="name"), BeforeValidator(_named)
]
TIMES: tuple[type[TimeDensity], ...] = kinds(AnyTime)
