"""Noise schedules: the masking probability of a block at time t, and what the bound charges for it.

Every schedule serves a float, a numpy array and a torch tensor of any shape, and computes in float64
whatever comes in. A new one is one class and one line in the union at the foot.
Mathematics: Arriola et al. 2025, arXiv 2503.09573; Kosmopoulou et al. 2025, BabyLM workshop.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, get_args

from pydantic import BeforeValidator, Field, field_validator, model_validator

from trainer.noise.arrays import Array, namespace, normal_quantile, to_dtype_of, to_float64
from trainer.values import Settings

# Stands for t = 0, where loss_scale has a pole.
FIRST_TIME = 1e-3

# log_snr is infinite at p = 0 and p = 1; it is evaluated this far inside of both.
LOG_SNR_MARGIN = 1e-9


class NoiseLevel(NamedTuple):
    move_chance: Array  # p, the probability that a token is masked
    loss_scale: Array  # p' / p > 0, what a masked token's cross-entropy is multiplied by

    @property
    def log_snr(self) -> Array:
        """lambda = log((1 - p) / p), with p kept LOG_SNR_MARGIN inside of (0, 1): at most 20.7 in size.

        So every weight is finite at p = 1: sigmoid 1, iddpm and edm 0 in effect, fm 3.2e4 (its limit
        is infinite).
        """
        p = to_float64(self.move_chance)
        xp = namespace(p)
        p = xp.clip(p, LOG_SNR_MARGIN, 1 - LOG_SNR_MARGIN)
        return to_dtype_of(self.move_chance, xp.log1p(-p) - xp.log(p))


class NoiseSchedule(Settings):
    """Abstract. A subclass is final and carries a Literal `name`."""

    # Whether the level at a time depends on the progress of training.
    moves: ClassVar[bool] = False

    def __call__(self, t: Array, progress: float = 0.0) -> NoiseLevel:
        """The level at times t in (0, 1], in the shape and type of t. progress in [0, 1]."""
        level = self._level(to_float64(t), progress)
        return NoiseLevel(to_dtype_of(t, level.move_chance), to_dtype_of(t, level.loss_scale))

    @property
    def branches(self) -> tuple[tuple[float, float], ...]:
        """The intervals of time on which p increases; together they are (0, 1)."""
        return ((0.0, 1.0),)

    @abstractmethod
    def _level(self, t: Array, progress: float) -> NoiseLevel:
        """Value and derivative in one place; t is float64."""


class LogLinear(NoiseSchedule):
    """p = t. Also called linear; its NELBO weight is 1 / t."""

    name: Literal["loglinear"] = "loglinear"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        return NoiseLevel(t, 1 / t)


class Square(NoiseSchedule):
    """p = t^2."""

    name: Literal["square"] = "square"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        return NoiseLevel(t**2, 2 / t)


class SquareRoot(NoiseSchedule):
    """p = t^(1/2)."""

    name: Literal["square_root"] = "square_root"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        return NoiseLevel(t**0.5, 0.5 / t)


class Logarithmic(NoiseSchedule):
    """p = log(1 + t) / log 2."""

    name: Literal["logarithmic"] = "logarithmic"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        log_1_t = namespace(t).log1p(t)
        return NoiseLevel(log_1_t / math.log(2), 1 / ((1 + t) * log_1_t))


class Cosine(NoiseSchedule):
    """p = 1 - (1 - eps) cos(pi t / 2)."""

    name: Literal["cosine"] = "cosine"
    eps: float = Field(1e-3, ge=0, lt=1, description="p at t = 0.")

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        xp = namespace(t)
        angle = math.pi / 2 * t
        # 1 - cos = 2 sin^2(half): no cancellation at small t where eps = 0.
        p = self.eps + (1 - self.eps) * 2 * xp.sin(angle / 2) ** 2
        return NoiseLevel(p, math.pi / 2 * (1 - self.eps) * xp.sin(angle) / p)


class Gaussian(NoiseSchedule):
    """p is normal, truncated to (0, 1): its quantile at t (Kosmopoulou et al. 2025)."""

    name: Literal["gaussian"] = "gaussian"
    mu: float = Field(0.5, ge=0, le=1, description="Mean of the masking rate before truncation.")
    sigma: float = Field(0.1, ge=1e-3, le=10, description="Its standard deviation.")
    u_eps: float = Field(
        1e-6, gt=0, lt=0.5, description="The quantile's argument stays this far from 0 and 1."
    )
    p_min: float = Field(1e-5, gt=0, le=1e-3, description="p stays in [p_min, 1].")

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        return _TruncatedNormal(self.mu, self.sigma).quantile(t, self.u_eps, self.p_min)


class BimodalGaussian(NoiseSchedule):
    """A truncated normal about mu1 for t < w, another about mu2 after; mu2 moves with training.

    p falls back at t = w. Kosmopoulou et al. 2025.
    """

    moves: ClassVar[bool] = True

    name: Literal["bimodal_gaussian"] = "bimodal_gaussian"
    w: float = Field(0.6, gt=0, lt=1, description="Share of the first mode.")
    mu1: float = Field(0.1, ge=0, le=1, description="Mean of the first mode.")
    sigma1: float = Field(0.02, ge=1e-3, le=10, description="Standard deviation of the first mode.")
    sigma2: float = Field(0.08, ge=1e-3, le=10, description="Standard deviation of the second mode.")
    m_start: float = Field(0.4, ge=0, le=1, description="Mean of the second mode when the phase begins.")
    m_end: float = Field(0.85, ge=0, le=1, description="What that mean moves towards.")
    tau: float = Field(3.0, ge=0, description="How fast it moves: exp(-tau) of the way is left at the end.")
    weight: Literal["branch", "mixture"] = Field(
        "branch",
        description="'branch': p'/p of the mode drawn from, as the report has it, which is not a bound; "
        "'mixture': 1/(p q(p)), q the density of both modes, unbiased where q covers (0, 1).",
    )
    u_eps: float = Field(
        1e-6, gt=0, lt=0.5, description="The quantiles' argument stays this far from 0 and 1."
    )
    p_min: float = Field(1e-5, gt=0, le=1e-3, description="p stays in [p_min, 1].")

    @property
    def branches(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, self.w), (self.w, 1.0))

    def mu2(self, progress: float) -> float:
        return self.m_start + (self.m_end - self.m_start) * (1 - math.exp(-self.tau * progress))

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        xp, w = namespace(t), self.w
        first = _TruncatedNormal(self.mu1, self.sigma1)
        second = _TruncatedNormal(self.mu2(progress), self.sigma2)
        p1, scale1 = first.quantile(t / w, self.u_eps, self.p_min)
        p2, scale2 = second.quantile((t - w) / (1 - w), self.u_eps, self.p_min)
        p = xp.where(t < w, p1, p2)
        if self.weight == "mixture":
            return NoiseLevel(p, 1 / (p * (w * first.density(p) + (1 - w) * second.density(p))))
        return NoiseLevel(p, xp.where(t < w, scale1 / w, scale2 / (1 - w)))


class Interval(Settings):
    """Abstract. Bounds on TIME, not on the masking rate: t is uniform on [low, high]. Training only.

    Also called the clipped schedule U[beta, omega] (Arriola et al. 2025). 1e-3 stands for 0.
    """

    low: float = Field(0.0, ge=0, le=1, description="beta, the earliest time.")
    high: float = Field(1.0, ge=0, le=1, description="omega, the latest time.")

    @model_validator(mode="after")
    def _low_is_not_above_high(self) -> "Interval":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self

    def time(self, u: Array) -> Array:
        """Times in [low, high] for u in [0, 1], in the shape and type of u."""
        low, high = max(self.low, FIRST_TIME), max(self.high, FIRST_TIME)
        t = low + (high - low) * to_float64(u)
        return to_dtype_of(u, t)

    def level(self, schedule: NoiseSchedule, u: Array, progress: float = 0.0) -> NoiseLevel:
        """The schedule's level at time(u), except that [1, 1] masks everything at loss_scale 1.

        At t = 1 a schedule may stop short of p = 1 and charges its own p'; [1, 1] is the plain
        cross-entropy of a fully masked block, which at block size 1 is the likelihood, whatever the schedule.
        """
        if self.low == 1:
            ones = to_dtype_of(u, to_float64(u) * 0 + 1)
            return NoiseLevel(ones, ones)
        return schedule(self.time(u), progress)


class Clip(Interval):
    """The same interval from the first step to the last."""

    # Not written out: a clip without a name has always been this one, and content hashes stay.
    name: Literal["fixed"] = Field("fixed", exclude=True)


class AutoClip(Interval):
    """At each evaluation, the interval under which the training objective varies least between blocks.

    Arriola et al. 2025, section 5.3. It is reported, and where `adopt` is set the run goes on with it, as the
    public code does (its `clip_search_widths`, `clip_search_delta`); trainer/evaluation/clip_search.py.
    """

    name: Literal["auto"] = "auto"
    widths: tuple[float, ...] = Field(
        (0.5, 0.6, 0.7, 0.8, 0.9),
        description="Of the intervals tried, whole steps each; [0, 1] is tried as well. "
        "At block size 1: [0, 1] and [1, 1] alone.",
    )
    step: float = Field(0.05, ge=0.01, le=1, description="Between the earliest times tried; it divides 1.")
    batches: int = Field(2, ge=1, description="Training-size batches behind each step of time.")
    adopt: bool = Field(
        True, description="Go on with the interval found; false: say it, and train as before."
    )

    @field_validator("widths", mode="before")
    @classmethod
    def _one_or_more(cls, raw: Any) -> Any:
        return raw if isinstance(raw, list | tuple) else [raw]

    @model_validator(mode="after")
    def _on_a_grid(self) -> "AutoClip":
        if not _whole(1 / self.step):
            raise ValueError(f"step {self.step} does not divide 1")
        if not self.widths:
            raise ValueError("widths names none: there is nothing to try")
        for width in self.widths:
            if not (0 < width <= 1 and _whole(width / self.step)):
                raise ValueError(f"width {width} is not a number of steps of {self.step} from 0 to 1")
        if self.adopt and (self.low, self.high) != (0, 1):
            raise ValueError("auto finds low and high itself: leave them out, or say adopt: false")
        return self

    def candidates(self, block_size: int) -> tuple[Clip, ...]:
        """The intervals tried, [0, 1] first. [1, 1] is the likelihood at block size 1, elsewhere no bound."""
        if block_size == 1:
            return Clip(), Clip(low=1, high=1)
        steps = round(1 / self.step)
        wide = [round(width * steps) for width in self.widths]
        found = [Clip(low=i / steps, high=(i + w) / steps) for w in wide for i in range(steps - w + 1)]
        return tuple(dict.fromkeys([Clip(), *found]))


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6 and number > 0.5


def _named(raw: Any) -> Any:
    """`clip: auto` is short for its name; bounds without a name are fixed."""
    if isinstance(raw, str):
        return {"name": raw}
    searching = AutoClip.model_fields.keys() - Clip.model_fields.keys()
    if isinstance(raw, Mapping) and searching.isdisjoint(raw):
        return {"name": "fixed", **raw}
    return raw


AnyClip = Annotated[Clip | AutoClip, Field(discriminator="name"), BeforeValidator(_named)]


class _TruncatedNormal:
    """N(mu, sigma^2) truncated to (0, 1), in float64."""

    def __init__(self, mu: float, sigma: float):
        self.mu, self.sigma = mu, sigma
        self.below = _normal_cdf(-mu / sigma)
        self.inside = _normal_cdf((1 - mu) / sigma) - self.below

    def quantile(self, t: Array, u_eps: float, p_min: float) -> NoiseLevel:
        """p at cumulative probability t, and p'/p; where a clamp is in force, the formula's at the clamp."""
        xp = namespace(t)
        z = normal_quantile(xp.clip(self.below + t * self.inside, u_eps, 1 - u_eps))
        p = xp.clip(self.mu + self.sigma * z, p_min, 1)
        return NoiseLevel(p, self.sigma * self.inside / (_normal_pdf(z) * p))

    def density(self, p: Array) -> Array:
        return _normal_pdf((p - self.mu) / self.sigma) / (self.sigma * self.inside)


def _normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2  # not 1 + erf: exact in the lower tail


def _normal_pdf(x: Array) -> Array:
    return namespace(x).exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


AnySchedule = Annotated[
    LogLinear | Square | SquareRoot | Logarithmic | Cosine | Gaussian | BimodalGaussian,
    Field(discriminator="name"),
]
SCHEDULES: tuple[type[NoiseSchedule], ...] = get_args(get_args(AnySchedule)[0])
