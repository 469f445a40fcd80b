"""Noise schedules: the masking probability of a block at time t, and what the bound charges for it.

Every schedule serves a float, a numpy array and a torch tensor of any shape, and computes in float64
whatever comes in. A new one is one class and one line in the union at the foot.
Mathematics: docs/formulas.md section 2; Arriola et al. 2025, arXiv 2503.09573; Kosmopoulou et al. 2025,
arXiv 2509.05056. What others call by these names: docs/objectives.md.
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
    # What its name means in other code, where that is not this.
    elsewhere: ClassVar[str] = ""

    def __call__(self, t: Array, progress: float = 0.0) -> NoiseLevel:
        """The level at times t in (0, 1], in the shape and type of t. progress in [0, 1]."""
        level = self._level(to_float64(t), progress)
        return NoiseLevel(to_dtype_of(t, level.move_chance), to_dtype_of(t, level.loss_scale))

    @property
    def branches(self) -> tuple[tuple[float, float], ...]:
        """The intervals of time on which p increases; together they are (0, 1)."""
        return ((0.0, 1.0),)

    @property
    def stands(self) -> bool:
        """Whether p may stand still for a stretch of time before or after it rises."""
        return False

    @property
    def parts(self) -> tuple[tuple[float, float], ...]:
        """The intervals of time within each of which a clip and a density of times act, as on (0, 1)."""
        return ((0.0, 1.0),)

    def part(self, u: Array) -> tuple[Array, Array]:
        """(first, width) of the part in which each u in [0, 1] lies; two parts at most."""
        if len(self.parts) == 1:
            return 0.0, 1.0
        border = self.parts[1][0]
        second = to_dtype_of(u, to_float64(u) >= border)
        return second * border, border + second * (1 - 2 * border)

    @abstractmethod
    def _level(self, t: Array, progress: float) -> NoiseLevel:
        """Value and derivative in one place; t is float64."""


class LogLinear(NoiseSchedule):
    """p = t. Also called linear; its NELBO weight is 1 / t (Sahoo et al. 2024, arXiv 2406.07524, for one)."""

    name: Literal["loglinear"] = "loglinear"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        return NoiseLevel(t, 1 / t)


class Square(NoiseSchedule):
    """p = t^2 (Arriola et al. 2025, table 8): poly at n = 2."""

    name: Literal["square"] = "square"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        return NoiseLevel(t**2, 2 / t)


class SquareRoot(NoiseSchedule):
    """p = t^(1/2) (Arriola et al. 2025, table 8): poly at n = 1/2."""

    name: Literal["square_root"] = "square_root"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        return NoiseLevel(t**0.5, 0.5 / t)


class Poly(NoiseSchedule):
    """p = t^n (MD4's `poly`, Shi et al. 2024, arXiv 2406.04329; `poly2` in Quokka, Ni et al. 2025)."""

    name: Literal["poly"] = "poly"
    n: float = Field(2.0, ge=0.1, le=10, description="The power: above 1 most times are lightly masked.")

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        return NoiseLevel(t**self.n, self.n / t)


class Logarithmic(NoiseSchedule):
    """p = log(1 + t) / log 2 (Arriola et al. 2025, table 8)."""

    name: Literal["logarithmic"] = "logarithmic"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        log_1_t = namespace(t).log1p(t)
        return NoiseLevel(log_1_t / math.log(2), 1 / ((1 + t) * log_1_t))


class Cosine(NoiseSchedule):
    """p = 1 - (1 - eps) cos(pi t / 2): most times are lightly masked.

    The cosine of the public MDLM and BD3-LM code (`noise_schedule.py`, `CosineNoise`), and `cosine_linear` of
    Kosmopoulou et al. 2025. MD4's is its mirror image: CosineMd4.
    """

    elsewhere: ClassVar[str] = (
        "MDLM's and BD3-LM's; in MD4, dLLM and Shi & Titsias it is the mirror image, cosine_md4 here"
    )

    name: Literal["cosine"] = "cosine"
    eps: float = Field(1e-3, ge=0, lt=1, description="p at t = 0.")

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        xp = namespace(t)
        angle = math.pi / 2 * t
        # 1 - cos = 2 sin^2(half): no cancellation at small t where eps = 0.
        p = self.eps + (1 - self.eps) * 2 * xp.sin(angle / 2) ** 2
        return NoiseLevel(p, math.pi / 2 * (1 - self.eps) * xp.sin(angle) / p)


class CosineMd4(NoiseSchedule):
    """p = sin(pi t / 2), alpha = 1 - cos(pi (1 - t) / 2): most times are heavily masked.

    The cosine of MD4 (Shi et al. 2024, arXiv 2406.04329, section 5; `_alpha` of its `md4.py`), of dLLM
    (`CosineAlphaScheduler`) and of Shi & Titsias 2025. MDLM's is its mirror image: Cosine.
    """

    name: Literal["cosine_md4"] = "cosine_md4"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        xp = namespace(t)
        angle = math.pi / 2 * t
        p = xp.sin(angle)
        return NoiseLevel(p, math.pi / 2 * xp.cos(angle) / p)  # at t = 1 it is 1e-16: pi is a little less


_GAMMA = "Power of p' in what is charged, p'^gamma / p. 1: the bound; 0: 1/p, a weight by the density of p."
_OUTSIDE = "What lies outside (0, 1): 'cut' from the normal, or 'kept', at p_min and at 1."


class Gaussian(NoiseSchedule):
    """p is normal, truncated to (0, 1): its quantile at t (Kosmopoulou et al. 2025).

    Its public code charges p'^gamma / p, "gamma < 1 for stable training", and keeps what lies outside.
    """

    name: Literal["gaussian"] = "gaussian"
    mu: float = Field(0.5, ge=0, le=1, description="Mean of the masking rate before truncation.")
    sigma: float = Field(0.1, ge=1e-3, le=10, description="Its standard deviation.")
    u_eps: float = Field(
        1e-6, gt=0, lt=0.5, description="The quantile's argument stays this far from 0 and 1."
    )
    p_min: float = Field(1e-5, gt=0, le=1e-3, description="p stays in [p_min, 1].")
    gamma: float = Field(1.0, ge=0, le=1, description=_GAMMA)
    outside: Literal["cut", "kept"] = Field("cut", description=_OUTSIDE)

    @property
    def stands(self) -> bool:
        return self.outside == "kept"

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        normal = _Normal(self.mu, self.sigma, self.outside == "cut")
        return _softened(normal.quantile(t, self.u_eps, self.p_min), self.gamma)


class BimodalGaussian(NoiseSchedule):
    """A truncated normal about mu1 for t < w, another about mu2 after; mu2 moves with training.

    p falls back at t = w. Kosmopoulou et al. 2025; their public code draws the mode by a coin and t within
    it, so that it divides p' by no share of a mode: `coin: own`.
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
    gamma: float = Field(1.0, ge=0, le=1, description=_GAMMA)
    outside: Literal["cut", "kept"] = Field("cut", description=_OUTSIDE)
    coin: Literal["time", "own"] = Field(
        "time",
        description="What chooses the mode. 'time': t < w; 'own': a coin beside t, so that a clip bounds the "
        "times of each mode, and p' is the mode's own, not divided by its share.",
    )

    @property
    def branches(self) -> tuple[tuple[float, float], ...]:
        return ((0.0, self.w), (self.w, 1.0))

    @property
    def parts(self) -> tuple[tuple[float, float], ...]:
        return self.branches if self.coin == "own" else super().parts

    @property
    def stands(self) -> bool:
        return self.outside == "kept"

    def mu2(self, progress: float) -> float:
        return self.m_start + (self.m_end - self.m_start) * (1 - math.exp(-self.tau * progress))

    def _level(self, t: Array, progress: float) -> NoiseLevel:
        xp, w, cut = namespace(t), self.w, self.outside == "cut"
        first = _Normal(self.mu1, self.sigma1, cut)
        second = _Normal(self.mu2(progress), self.sigma2, cut)
        p1, scale1 = first.quantile(t / w, self.u_eps, self.p_min)
        p2, scale2 = second.quantile((t - w) / (1 - w), self.u_eps, self.p_min)
        p = xp.where(t < w, p1, p2)
        if self.weight == "mixture":
            scale = 1 / (p * (w * first.density(p) + (1 - w) * second.density(p)))
        elif self.coin == "own":
            scale = xp.where(t < w, scale1, scale2)
        else:
            scale = xp.where(t < w, scale1 / w, scale2 / (1 - w))
        return _softened(NoiseLevel(p, scale), self.gamma)


def _softened(level: NoiseLevel, gamma: float) -> NoiseLevel:
    """p'^gamma / p in place of p' / p."""
    p, scale = level
    return level if gamma == 1 else NoiseLevel(p, (p * scale) ** gamma / p)


class _Normal:
    """N(mu, sigma^2), in float64; cut: truncated to (0, 1)."""

    def __init__(self, mu: float, sigma: float, cut: bool):
        self.mu, self.sigma = mu, sigma
        self.below = _normal_cdf(-mu / sigma) if cut else 0.0
        self.inside = _normal_cdf((1 - mu) / sigma) - self.below if cut else 1.0

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
    LogLinear | Square | SquareRoot | Poly | Logarithmic | Cosine | CosineMd4 | Gaussian | BimodalGaussian,
    Field(discriminator="name"),
]
SCHEDULES: tuple[type[NoiseSchedule], ...] = kinds(AnySchedule)
