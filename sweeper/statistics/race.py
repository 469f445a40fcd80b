"""A race of a few configurations on fresh seeds: what may be said after each round, and who runs the next.

In a round every configuration that is still in it runs one more seed, the same for all, and is scored under
masks that are drawn for the round. A look is what the first r seeds say, r = 2, 3, ... up to the cap. Error
is spent over looks, late: look r gets p (r / cap)^2, with p so that over all looks, among equal
configurations of equal noise, a fixed one is falsely undercut by none with the confidence asked for. p is
found by simulated races (levels).

Bounds. upper[i, j] of the difference of i and j is d + hypot(q se, q' text), the least over all looks: the
event that it fails is one for all looks together. q is Student's at the look's level, q' Dunnett's for the
text, which is the same at every look and is spent once.
    - i may be the best unless upper[j, i] < 0 for some j (Hsu 1984);
    - taking i costs at most max(0, max_j upper[i, j]) against the best one of the race;
    - i is the winner where it beats each of the others by its own two-sided test (Gutmann and Maymin 1987).
A configuration may stop and come back: what is claimed of a pair uses the seeds that both have run, and any
choice of who runs next is allowed. Shapes: K configurations, R rounds, D documents."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweeper.statistics.clusters import Text
from sweeper.statistics.differences import PRIOR, Pooled, differences, pooled
from sweeper.statistics.field import Array, Field
from sweeper.statistics.quantiles import dunnett, student, tukey
from sweeper.statistics.scipy_private import special

SPENT = 0.8  # of the error that is allowed: unequal noise and slopes of the seeds take the rest (measured)
RACES = 20_000  # simulated, for a level


class Race(NamedTuple):
    """What is known after the rounds so far. Nats per token."""

    rounds: int  # the most that anyone has run
    first: int  # the lowest mean, seeds' effects taken out
    difference_K: Array  # to the first
    half_K: Array  # that the bound adds to it, at the last look that both were in
    upper_KK: Array  # of row minus column
    may_be_best_K: NDArray[np.bool_]
    winner: bool  # the first beats each of the others
    margin_K: Array  # of the difference, to both sides: of all at once, whichever is the first

    @property
    def bound(self) -> float:
        """What taking the first may cost, against the best of the race."""
        return max(0.0, float(self.upper_KK[self.first].max()))

    def still_in(self, margin: float) -> NDArray[np.bool_]:
        """The first, and who may be better than it by more than the margin."""
        active_K = self.upper_KK[self.first] > margin
        active_K[self.first] = True
        return active_K


def race(field: Field, cap: int, confidence: float, other: Pooled | None = None) -> Race:
    """field: each configuration's rounds are the first of all. other: of more runs, for the mean of all
    variances."""
    *_, last = looks(field, cap, confidence, other)
    return last


def looks(field: Field, cap: int, confidence: float, other: Pooled | None = None) -> Iterator[Race]:
    """What was known after 2 rounds, 3, ... by those who have run them."""
    K, run_K = len(field.nats_CSD), field.seeds_C
    upper_KK, worse_KK = np.full((K, K), np.inf), np.full((K, K), np.inf)
    half_KK, margin_KK = np.full((K, K), np.inf), np.full((K, K), np.inf)
    # Of two alone, a pair's own variance is all there is: what the search saw of them is two seeds' worth.
    prior = PRIOR if K > 2 else 0.0
    yield _race(field.first(1), upper_KK, worse_KK, half_KK, margin_KK)
    for look in range(2, min(int(run_K.max(initial=0)), cap) + 1):
        rows, so_far = np.flatnonzero(run_K >= look), field.first(look)
        if len(rows) > 1:
            level = levels(K, cap, confidence)
            spread = pooled(so_far.value_CS).plus(other or Pooled())
            found = differences(so_far.of(rows), None, spread, prior)
            share, text = (look / cap) ** 2, found.text_degrees
            bound_KK = found.half_width(_upper(level.bound * share), dunnett(K, text, confidence))
            own_KK = found.half_width(_upper(level.winner * share), student(text, confidence))
            at = np.ix_(rows, rows)
            upper_KK[at] = np.minimum(upper_KK[at], found.mean_CK + bound_KK)
            worse_KK[at] = np.minimum(worse_KK[at], found.mean_CK + own_KK)
            half_KK[at] = bound_KK
            margin_KK[at] = found.half_width(_upper(level.first * share), tukey(K, text, confidence))
        yield _race(so_far, upper_KK, worse_KK, half_KK, margin_KK)


def _race(field: Field, upper_KK: Array, worse_KK: Array, half_KK: Array, margin_KK: Array) -> Race:
    upper_KK, worse_KK = upper_KK.copy(), worse_KK.copy()
    half_KK, margin_KK = half_KK.copy(), margin_KK.copy()
    np.fill_diagonal(upper_KK, 0.0)
    np.fill_diagonal(worse_KK, -np.inf)
    np.fill_diagonal(half_KK, 0.0)
    np.fill_diagonal(margin_KK, 0.0)
    run_K, (mean_K, _) = field.seeds_C, field.means
    rounds = int(run_K.max(initial=0))
    first = int(np.where(run_K == rounds, mean_K, np.inf).argmin())
    return Race(
        rounds=rounds,
        first=first,
        difference_K=mean_K - mean_K[first],
        half_K=half_KK[first],
        upper_KK=upper_KK,
        may_be_best_K=np.logical_not((upper_KK < 0).any(axis=0)),
        winner=bool((worse_KK[first] < 0).all()),
        margin_K=margin_KK[first],
    )


class Levels(NamedTuple):
    """One-sided, of a comparison at the last look."""

    bound: float  # of all with one that is fixed: none falsely undercuts it
    winner: float  # of one pair, both ways
    first: float  # of all with the first, whichever that is at a look: none falsely seems worse than it


@lru_cache
def levels(groups: int, cap: int, confidence: float) -> Levels:
    """By simulated races of equal configurations of equal noise. The same numbers on every machine."""
    rng = np.random.default_rng((groups, cap))
    noise_NKR = rng.standard_normal((RACES, groups, cap))
    prior = PRIOR if groups > 2 else 0.0
    least_3N = np.full((3, RACES), np.inf)
    for look in range(2, cap + 1):
        so_far_NKR = noise_NKR[:, :, :look]
        first_N11 = so_far_NKR.mean(2).argmin(1)[:, None, None]
        to_one_NK = _t(so_far_NKR, so_far_NKR[:, :1], prior)[:, 1:]
        to_first_NK = _t(so_far_NKR, np.take_along_axis(so_far_NKR, first_N11, 1), prior)
        worst_3N = [-to_one_NK.min(1), np.abs(to_one_NK[:, 0]), to_first_NK.max(1)]
        beyond_3N = special.stdtr(prior + look - 1, -np.asarray(worst_3N))
        least_3N = np.minimum(least_3N, beyond_3N / (look / cap) ** 2)
    return Levels(*np.quantile(least_3N, SPENT * (1 - confidence), axis=1).tolist())


def _t(noise_NKR: Array, to_N1R: Array, prior: float) -> Array:
    """t_NK of the differences to one of them, by moderated variances; 0 of itself."""
    K, R = noise_NKR.shape[1:]
    left_NKR = noise_NKR - noise_NKR.mean(1, keepdims=True)
    left_NKR = left_NKR - left_NKR.mean(2, keepdims=True)
    pooled_N1 = 2 * (left_NKR**2).sum((1, 2))[:, None] / (max(K - 1, 1) * (R - 1))
    difference_NKR = noise_NKR - to_N1R
    mean_NK, variance_NK = difference_NKR.mean(2), difference_NKR.var(2, ddof=1)
    error_NK = np.sqrt((prior * pooled_N1 + (R - 1) * variance_NK) / (prior + R - 1) / R)
    return np.divide(mean_NK, error_NK, out=np.zeros_like(mean_NK), where=error_NK > 0)


def _upper(level: float) -> Callable[[float], float]:
    def quantile(degrees: float) -> float:
        return float(-special.stdtrit(degrees, level))  # what scipy.stats says, in a hundredth of the time

    return quantile


def against_all(
    raced: Race, race_field: Field, alone: Field, raced_rows: Sequence[int], confidence: float, spread: Pooled
) -> float:
    """What taking the first of the race may cost against any configuration, raced or not.

    alone: one seed, common to all, of all configurations; raced_rows: those of the race among them, in its
    order. One that never raced is held against the raced ones on that seed, and they against the first in the
    race."""
    rest = [c for c in range(len(alone.nats_CSD)) if c not in set(raced_rows)]
    if not rest:
        return raced.bound
    K, rounds = len(raced_rows), max(2, raced.rounds)
    _, nats_KD = race_field.means
    nats_CD = alone.nats_CSD[:, 0]
    first_D = nats_KD[raced.first] - nats_KD.mean(0)
    contrast_CD = first_D - (nats_CD[rest] - nats_CD[list(raced_rows)].mean(0))
    total = alone.tokens_D.sum()
    difference_C = contrast_CD.sum(1) / total
    error = math.sqrt(spread.variance / 2 * (1 + 1 / K) * (1 + 1 / rounds))
    text = Text(alone.tokens_D)
    groups = len(alone.nats_CSD)
    text_C = text.error(contrast_CD)
    half_C = np.hypot(
        dunnett(groups, PRIOR + rounds - 1, confidence) * error,
        dunnett(groups, text.degrees, confidence) * text_C,
    )
    return max(raced.bound, float((difference_C + half_C).max()))
