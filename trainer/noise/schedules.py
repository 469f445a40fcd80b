"""Noise schedules: the masking probability of a block at time t, and what the bound charges for it.

Every schedule serves a float, a numpy array and a torch tensor of any shape, and computes in float64
whatever comes in. A new one is one class and one line in the union at the foot.
Mathematics: docs/formulas.md section 2; Arriola et al. 2025, arXiv 2503.09573; Kosmopoulou et al. 2025,
arXiv 2509.05056.
"""

import math
from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from trainer.noise.arrays import Array, namespace, normal_quantile, to_dtype_of, to_float64
from trainer.values import Settings, kinds

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
SCHEDULES: tuple[type[NoiseSchedule], ...] = kinds(AnySchedule)
