"""Densities of times, slowly: a step's share from its distribution function, drawn by walking over them."""

from functools import cache
from itertools import pairwise
from statistics import NormalDist

from scipy.stats import beta

from trainer.noise.times import STEPS, BellTime, BetaTime, TableTime, TimeDensity, UniformTime


@cache
def shares(time: TimeDensity) -> list[float]:
    """The probability of each equal step of the interval."""
    edges = [k / STEPS for k in range(STEPS + 1)]
    match time:
        case UniformTime():
            return [1.0]
        case TableTime():
            return normalised(time.heights)
        case BetaTime():
            below = [float(beta.cdf(x, time.a, time.b)) for x in edges]
        case BellTime():
            below = [NormalDist(time.mu, time.sigma).cdf(x) for x in edges]
        case _:
            raise NotImplementedError(time)
    return normalised([b - a for a, b in pairwise(below)])


def normalised(shares):
    """What is less than a millionth of their mean is left out."""
    kept = [each if each >= 1e-6 * sum(shares) / len(shares) else 0.0 for each in shares]
    return [each / sum(kept) for each in kept]


def drawn(time: TimeDensity, u: float) -> tuple[float, float]:
    """(share of the interval, what the loss is multiplied by) for u in [0, 1)."""
    each = shares(time)
    before = 0.0
    for k, share in enumerate(each):
        if u < before + share or (share > 0 and sum(each[k + 1 :]) == 0):
            density = share * len(each)
            return (k + (u - before) / share) / len(each), 1 / density if time.corrected else 1.0
        before += share
    raise AssertionError(u)
