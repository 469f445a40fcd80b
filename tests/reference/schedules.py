"""Slow, obvious schedules: p(t) one time at a time, its derivative by a central difference."""

import math
from statistics import NormalDist

from trainer.noise.schedules import (
    BimodalGaussian,
    Cosine,
    CosineMd4,
    Gaussian,
    Logarithmic,
    LogLinear,
    NoiseSchedule,
    Poly,
    Square,
    SquareRoot,
)


def move_chance(schedule: NoiseSchedule, t: float, progress: float = 0.0) -> float:
    match schedule:
        case LogLinear():
            return t
        case Square():
            return t * t
        case SquareRoot():
            return math.sqrt(t)
        case Poly():
            return t**schedule.n
        case Logarithmic():
            return math.log(1 + t) / math.log(2)
        case Cosine():
            return 1 - (1 - schedule.eps) * math.cos(math.pi * t / 2)
        case CosineMd4():
            return 1 - (1 - math.cos(math.pi / 2 * (1 - t)))  # 1 - alpha, as its paper has it
        case Gaussian():
            return quantile(schedule, schedule.mu, schedule.sigma, t)
        case BimodalGaussian() if t < schedule.w:
            return quantile(schedule, schedule.mu1, schedule.sigma1, t / schedule.w)
        case BimodalGaussian():
            left = math.exp(-schedule.tau * progress)
            mu2 = schedule.m_end + (schedule.m_start - schedule.m_end) * left
            return quantile(schedule, mu2, schedule.sigma2, (t - schedule.w) / (1 - schedule.w))
    raise NotImplementedError(schedule)


def loss_scale(schedule: NoiseSchedule, t: float, progress: float = 0.0, step: float = 1e-6) -> float:
    p = move_chance(schedule, t, progress)
    gamma = schedule.gamma if isinstance(schedule, Gaussian | BimodalGaussian) else 1.0
    if isinstance(schedule, BimodalGaussian) and schedule.weight == "mixture":
        left = math.exp(-schedule.tau * progress)
        mu2 = schedule.m_end + (schedule.m_start - schedule.m_end) * left
        modes = (schedule.w, schedule.mu1, schedule.sigma1), (1 - schedule.w, mu2, schedule.sigma2)
        return (1 / sum(share * density(schedule, mu, sigma, p) for share, mu, sigma in modes)) ** gamma / p
    rise = (move_chance(schedule, t + step, progress) - move_chance(schedule, t - step, progress)) / (
        2 * step
    )
    if isinstance(schedule, BimodalGaussian) and schedule.coin == "own":
        rise *= schedule.w if t < schedule.w else 1 - schedule.w
    return rise**gamma / p


def quantile(schedule: Gaussian | BimodalGaussian, mu: float, sigma: float, t: float) -> float:
    if schedule.outside == "cut":
        return truncated_quantile(mu, sigma, t)
    return min(max(NormalDist(mu, sigma).inv_cdf(t), schedule.p_min), 1.0)


def density(schedule: Gaussian | BimodalGaussian, mu: float, sigma: float, p: float) -> float:
    if schedule.outside == "cut":
        return truncated_density(mu, sigma, p)
    return NormalDist(mu, sigma).pdf(p)


def truncated_quantile(mu: float, sigma: float, t: float) -> float:
    """The t-quantile of N(mu, sigma^2) truncated to (0, 1), by bisection of its distribution function."""
    normal = NormalDist(mu, sigma)
    target = normal.cdf(0) + t * (normal.cdf(1) - normal.cdf(0))
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if normal.cdf(middle) < target else (low, middle)
    return (low + high) / 2


def truncated_density(mu: float, sigma: float, p: float) -> float:
    normal = NormalDist(mu, sigma)
    return normal.pdf(p) / (normal.cdf(1) - normal.cdf(0))
