"""How many standard errors a claim must exceed: Student's, Dunnett's and Tukey's quantiles.

Degrees of freedom need not be whole: text has as many as it has effective documents. Both quantiles of many
groups are integrals over one normal error z, of the group that is fixed or lowest, and over the scale at
which the common variance was estimated, as a share of the true one; Z and M points."""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sweeper.statistics.scipy_private import special

Array = NDArray[np.float64]
CONFIDENCE = 0.95
EXACT = 1e-13  # of a quantile, as a share
SMALLEST = 1e-300  # chance that has a logarithm
NOTHING = 760.0  # exp(-NOTHING) is 0; so is whatever is below exp(-745.2)
_STEP = 0.1  # the trapezoidal rule on a normal density is exact to all digits at that
_AT_Z = np.arange(-8.5, 8.5 + _STEP, _STEP)
_DENSITY_Z = _STEP * np.exp(-(_AT_Z**2) / 2) / math.sqrt(2 * math.pi)
_AT_M, _SHARE_M = (each / 2 for each in np.polynomial.legendre.leggauss(80))  # of a uniform number


@lru_cache(maxsize=4096)
def student(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Two-sided: of one comparison that was chosen before the data were seen."""
    return float(special.stdtrit(degrees, (1 + confidence) / 2))


@lru_cache(maxsize=4096)
def dunnett(groups: int, degrees: float, confidence: float = CONFIDENCE) -> float:
    """One-sided, many to one (Dunnett 1955), for equal variances: none of groups - 1 equal groups seems
    better than a fixed one by more than so many standard errors of the difference, with this confidence.

    Hsu's comparisons with the best (1984) use it for the best one, whichever that is.
    """
    if groups < 2:
        return 0.0
    scale_M1 = _scale(degrees)

    def below(q: float) -> float:
        chance_MZ = power(special.ndtr(_AT_Z + math.sqrt(2) * q * scale_M1), groups - 1)
        return float(_SHARE_M @ chance_MZ @ _DENSITY_Z)

    return _where(below, confidence)


@lru_cache(maxsize=4096)
def tukey(groups: int, degrees: float, confidence: float = CONFIDENCE) -> float:
    """Of all pairs of groups at once (Tukey; Kramer 1956 where variances differ)."""
    if groups < 2:
        return 0.0
    scale_M1 = _scale(degrees)
    lowest_Z = special.ndtr(_AT_Z)

    def below(q: float) -> float:
        within_MZ = special.ndtr(_AT_Z + math.sqrt(2) * q * scale_M1) - lowest_Z
        return float(groups * _SHARE_M @ power(within_MZ, groups - 1) @ _DENSITY_Z)

    return _where(below, confidence)


def power(chance: Array, of: int) -> Array:
    """chance ** of, to the bit. Of thousands of groups most chances are too small for a number then: to find
    that out takes a processor ten times as long as to find a number."""
    found = np.zeros_like(chance)
    there = chance > math.exp(-NOTHING / of)
    found[there] = chance[there] ** of
    return found


def _scale(degrees: float) -> Array:
    return np.asarray(np.sqrt(2 * special.gammaincinv(degrees / 2, _AT_M + 0.5) / degrees))[:, None]


def _where(below: Callable[[float], float], confidence: float) -> float:
    """The q from which on it is below with that confidence: between two that bracket it, where their chord
    meets it; of an end that stays, half the distance counts (Illinois: Dowell and Jarratt 1971). Of the
    largest of many errors -log(-log(chance)) is nearly a straight line (Gumbel), so that chords meet it
    soon."""
    low, high, q = 0.0, 8.0, 0.0

    def above(q: float) -> float:
        chance = min(max(below(q), SMALLEST), 1 - EXACT)
        return math.log(math.log(confidence) / math.log(chance))

    under, over = above(low), above(high)
    while over < 0:
        low, high, under = high, 2 * high, over
        over = above(high)
    while under < 0 < over:
        before, q = q, high - over * (high - low) / (over - under)
        if abs(q - before) <= EXACT * q:
            return q
        at = above(q)
        if at < 0:
            low, under, over = q, at, over / 2 if before == low else over
        elif at > 0:
            high, over, under = q, at, under / 2 if before == high else under
        else:
            return q
    return low if under >= 0 else high
