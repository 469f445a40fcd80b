"""How many standard errors a claim must exceed: Student's, Dunnett's and Tukey's quantiles.

Degrees of freedom need not be whole: text has as many as it has effective documents.
"""

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

CONFIDENCE = 0.95
_NODES_N, _WEIGHTS_N = np.polynomial.hermite_e.hermegauss(60)  # of a standard normal
_AT_M, _SHARE_M = (each / 2 for each in np.polynomial.legendre.leggauss(80))  # of a uniform number


@lru_cache(maxsize=4096)
def student(degrees: float, confidence: float = CONFIDENCE) -> float:
    """Two-sided: of one comparison that was chosen before the data were seen."""
    return float(stats.t.ppf((1 + confidence) / 2, degrees))


@lru_cache(maxsize=4096)
def dunnett(groups: int, degrees: float, confidence: float = CONFIDENCE) -> float:
    """One-sided, many to one (Dunnett 1955), for equal variances: none of groups - 1 equal groups seems
    better
    than a fixed one by more than so many standard errors of the difference, with this confidence.

    Hsu's comparisons with the best (1984) use it for the best one, whichever that is.
    """
    if groups < 2:
        return 0.0
    # The differences share the fixed group's error z and the estimate of the variance, scale^2 of the true
    # one.
    scale_M = np.sqrt(stats.chi2.ppf(_AT_M + 0.5, degrees) / degrees)

    def below(q: float) -> float:
        chance_MN = special.ndtr(_NODES_N + math.sqrt(2) * q * scale_M[:, None]) ** (groups - 1)
        return float(_SHARE_M @ chance_MN @ _WEIGHTS_N / _WEIGHTS_N.sum())

    return float(optimize.brentq(lambda q: below(q) - confidence, 0.0, 1000.0))


@lru_cache(maxsize=4096)
def tukey(groups: int, degrees: float, confidence: float = CONFIDENCE) -> float:
    """Of all pairs of groups at once (Tukey; Kramer 1956 where variances differ)."""
    if groups < 2:
        return 0.0
    return float(stats.studentized_range.ppf(confidence, groups, degrees) / math.sqrt(2))
