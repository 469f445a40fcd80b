"""How much of the order of results goes along with one parameter alone, and how sure is that? Numbers only.

Results count by their ranks (normal scores), so one that diverged weighs no more than the last. A parameter
counts by groups: its values where these are words or few, else groups of like size in its order. The share is
that of the variance which lies between groups, less what chance alone puts there (epsilon squared; Kelley
1935); its interval is of the F distribution with a centre elsewhere (Steiger 2004).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sweeper.statistics.quantiles import CONFIDENCE
from sweeper.statistics.scipy_private import special

FEWEST = 10  # results; with fewer any share can come out
MOST_GROUPS = 5  # of a parameter that is a number
EACH = 5  # results in such a group, at least
LARGEST_F = 1e6  # beyond it the groups are told apart in every figure shown


class Effect(NamedTuple):
    share: float  # of the variance of the results' normal scores, 0 to 1
    low: float  # 95%; 0: chance alone may do as much
    high: float
    results: int
    groups: int


def effect(values: Sequence[Any], results: Sequence[float]) -> Effect | None:
    """values: of the parameter, one a result. None where there are too few results, or groups, to say."""
    if len(values) < FEWEST:
        return None
    group, (n, k) = grouped(values), (len(values), 0)
    k = int(group.max()) + 1
    if k < 2 or n - k < 2:
        return None
    from scipy.stats import rankdata  # most of a second

    score = special.ndtri((rankdata(results) - 0.5) / n)
    total = float(np.sum((score - score.mean()) ** 2))
    if total == 0:  # all alike: there is nothing to go along with
        return None
    count = np.bincount(group, minlength=k)
    mean = np.bincount(group, score, minlength=k) / count
    between = float(np.sum(count * (mean - score.mean()) ** 2))
    within = max(total - between, 0.0)
    ratio = min(between / (k - 1) / (within / (n - k)), LARGEST_F) if within > 0 else LARGEST_F
    share = max(0.0, 1 - within / total * (n - 1) / (n - k))
    tail = (1 - CONFIDENCE) / 2
    low, high = (_share_at(ratio, level, k, n) for level in (1 - tail, tail))
    return Effect(share, min(low, share), max(high, share), n, k)


def grouped(values: Sequence[Any]) -> np.ndarray:
    """A group's number for each value, from 0; none of them is empty."""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numbers or len(set(values)) <= MOST_GROUPS:
        return np.unique([str(value) for value in values], return_inverse=True)[1]
    wanted = max(2, min(MOST_GROUPS, len(values) // EACH))
    edges = np.unique(np.quantile(np.asarray(values, float), np.arange(1, wanted) / wanted))
    return np.unique(np.searchsorted(edges, np.asarray(values, float)), return_inverse=True)[1]


def _share_at(ratio: float, level: float, groups: int, results: int) -> float:
    """The share at which an F as small as this one, or smaller, has a chance of `level`."""
    first, second = groups - 1, results - groups
    if special.fdtr(first, second, ratio) <= level:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(40):  # the chance falls as the share grows
        middle = (low + high) / 2
        centre = results * middle / (1 - middle)
        low, high = (middle, high) if special.ncfdtr(first, second, centre, ratio) > level else (low, middle)
    return low
