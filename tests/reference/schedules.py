"""Slow, obvious schedules: p(t) one time at a time, its derivative by a central difference."""

import math
from statistics import NormalDist

from trainer.noise.schedules import (
    BimodalGaussian,
    Cosine,
    Gaussian,
    Logarithmic,
    LogLinear,
    NoiseSchedule,
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
        case Logarithmic():
            return math.log(1 + t) / math.log(2)
        case Cosine():
            return 1 - (1 - schedule.eps) * math.cos(math.pi * t / 2)
        case Gaussian():
            return truncated_quantile(schedule.mu, schedule.sigma, t)
        case BimodalGaussian() if t < schedule.w:
            return truncated_quantile(schedule.mu1, schedule.sigma1, t / schedule.w)
        case BimodalGaussian():
            left = math.exp(-schedule.tau * progress)
            mu2 = schedule.m_end + (schedule.m_start - schedule.m_end) * left
            return truncated_quantile(mu2, schedule.sigma2, (t - schedule.w) / (1 - schedule.w))
    raise NotImplementedError(schedule)


def loss_scale(schedule: NoiseSchedule, t: float, progress: float = 0.0, step: float = 1e-6) -> float:
    if isinstance(schedule, BimodalGaussian) and schedule.weight == "mixture":
        p = move_chance(schedule, t, progress)
        left = math.exp(-schedule.tau * progress)
        mu2 = schedule.m_end + (schedule.m_start - schedule.m_end) * left
        modes = (schedule.w, schedule.mu1, schedule.sigma1), (1 - schedule.w, mu2, schedule.sigma2)
        return 1 / (p * sum(share * truncated_density(mu, sigma, p) for share, mu, sigma in modes))
    rise = move_chance(schedule, t + step, progress) - move_chance(schedule, t - step, progress)
    return rise / (2 * step) / move_chance(schedule, t, progress)


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
