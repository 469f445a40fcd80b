"""Every pair of configurations: by how much they differ, and how surely, over seeds and over text.

Seeds. On the r seeds that both have run, the difference of two configurations is one number a seed. Whatever
seeds do (their effects are shared, and scaled by each configuration in its own way; some configurations are
noisier), these r numbers are independent and alike, and their variance S^2 has r - 1 degrees of freedom. For
few seeds it is drawn towards S0^2, the mean of all pairs' variances, that counts as m degrees (a moderated t;
Smyth 2004):

    V = (m S0^2 + (r - 1) S^2) / (m + r - 1),   standard error sqrt(V / r),   m + r - 1 degrees,

with m = 4, or fewer where the other pairs do not hold as much: (C - 2)(S - 1) of C configurations on S seeds.

A pair with fewer than two common seeds is compared by means that have the seeds' effects taken out, and has
no spread of its own: S0^2 stands for it, with S - 1 degrees. That may screen a configuration out; it makes
none better or worse.

Text. Documents are clusters (clusters.py); what all runs find hard drops out of a difference.
Shapes: C configurations, K of them that the others are held against, S seeds, D documents.
"""

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweeper.statistics.clusters import Text
from sweeper.statistics.field import Array, Field

PRIOR = 4.0  # degrees that the mean of all pairs' variances counts as, at most


class Pooled(NamedTuple):
    """Squared deviations of pairs' differences over their common seeds, added up, and the degrees in them."""

    squares: float = 0.0
    degrees: float = 0.0

    @property
    def variance(self) -> float:
        """S0^2, of a pair's difference on one seed; NaN where nothing ran twice."""
        return self.squares / self.degrees if self.degrees else float("nan")

    def plus(self, other: "Pooled") -> "Pooled":
        return Pooled(self.squares + other.squares, self.degrees + other.degrees)


class Differences(NamedTuple):
    """Of C configurations to K of them, in nats per token: [c, k] below 0 says that c is the better one."""

    mean_CK: Array
    shared_CK: NDArray[np.intp]  # seeds that both have run
    seeds_CK: Array  # standard error over seeds; infinite where no spread is known
    degrees_CK: Array
    text_CK: Array  # standard error over text
    text_degrees: float

    def half_width(self, of_seeds: Callable[[float], float], of_text: float) -> Array:
        """Both errors in quadrature, each times its quantile. of_seeds: by degrees of freedom."""
        quantile_CK = np.empty_like(self.degrees_CK)
        for degrees in np.unique(self.degrees_CK):
            quantile_CK[self.degrees_CK == degrees] = of_seeds(float(degrees))
        return np.hypot(quantile_CK * self.seeds_CK, of_text * self.text_CK)


def pooled(value_CS: Array) -> Pooled:
    """Of all pairs of configurations, each on the seeds that both have run."""
    total = Pooled()
    ran_CS = ~np.isnan(value_CS)
    patterns, pattern_C = np.unique(ran_CS, axis=0, return_inverse=True)
    for p, q in combinations_with_replacement(range(len(patterns)), 2):
        common = patterns[p] & patterns[q]
        if (seeds := int(common.sum())) < 2:
            continue
        ours, theirs = (_centred(value_CS[pattern_C.ravel() == each][:, common]) for each in (p, q))
        pairs = len(ours) * len(theirs) if p != q else len(ours) * (len(ours) - 1) / 2
        # sum over pairs of |a - b|^2
        squares = (
            len(theirs) * (ours**2).sum() + len(ours) * (theirs**2).sum() - 2 * ours.sum(0) @ theirs.sum(0)
        )
        total = total.plus(Pooled(float(squares) / (1 if p != q else 2), pairs * (seeds - 1)))
    return total


def differences(
    field: Field,
    to: Sequence[int] | NDArray[np.intp] | None = None,
    spread: Pooled | None = None,
    prior: float | None = None,
) -> Differences:
    """to: the K configurations; all, unless said. spread: of more runs than the field's, and prior: the
    degrees
    that it counts as; by default both are of the field."""
    value_CS, ran_CS = field.value_CS, field.ran_CS
    at_K = np.asarray(range(len(value_CS)) if to is None else to, np.intp)
    spread = spread or pooled(value_CS)
    shared_CK, sum_CK, squares_CK = _deviations(value_CS, at_K)
    other_CK = np.arange(len(value_CS))[:, None] != at_K
    together_CK = shared_CK >= 2
    seeds = int(shared_CK[other_CK].max(initial=1))
    if prior is None:
        prior = min(PRIOR, max(0.0, ((ran_CS.sum(1) >= 2).sum() - 2) * (seeds - 1)))
    own_CK = np.maximum(shared_CK - 1, 0)

    moderated_CK = ((prior * spread.variance if prior else 0.0) + squares_CK) / np.maximum(prior + own_CK, 1)
    alone_CK = spread.variance / 2 * _squared_weights(field, at_K)  # S0^2 is twice one run's own variance
    variance_CK = np.where(together_CK, moderated_CK / np.maximum(shared_CK, 1), alone_CK)
    seeds_CK = np.where(np.isnan(variance_CK), np.inf, np.sqrt(variance_CK))

    mean_C, nats_CD = field.means()
    mean_CK = np.where(together_CK, sum_CK / np.maximum(shared_CK, 1), mean_C[:, None] - mean_C[at_K])
    text = Text(field.tokens_D)
    return Differences(
        mean_CK=mean_CK,
        shared_CK=shared_CK,
        seeds_CK=np.where(other_CK, seeds_CK, 0.0),
        degrees_CK=np.where(together_CK, prior + own_CK, max(seeds - 1.0, 1.0)),
        text_CK=text.errors(nats_CD, nats_CD[at_K]),
        text_degrees=text.degrees,
    )


def _squared_weights(field: Field, at_K: NDArray[np.intp]) -> Array:
    """Of the runs behind each difference of two means: its variance over that of one run."""
    share_CS, count_C = field.share_CS, np.maximum(field.seeds_C, 1)
    own_C = 1 / count_C
    cross_CC = share_CS @ field.effects_SS @ share_CS[at_K].T
    of_C = np.einsum("cs,st,ct->c", share_CS, field.effects_SS, share_CS)
    return own_C[:, None] + own_C[at_K] + of_C[:, None] + of_C[at_K] - 2 * cross_CC


def _centred(value_CT: Array) -> Array:
    return value_CT - value_CT.mean(1, keepdims=True)


def _deviations(value_CS: Array, at_K: NDArray[np.intp]) -> tuple[NDArray[np.intp], Array, Array]:
    """(shared_CK, sum_CK, squares_CK): of each pair its common seeds, and there the sum of its differences
    and
    the squares of their deviations from their mean."""
    ran_CS = ~np.isnan(value_CS)
    count_CS = ran_CS.astype(float)
    value_CS = np.where(ran_CS, value_CS - np.nanmean(value_CS), 0.0)
    count_KS, value_KS = count_CS[at_K], value_CS[at_K]
    shared_CK = count_CS @ count_KS.T
    sum_CK = value_CS @ count_KS.T - count_CS @ value_KS.T
    square_CK = (value_CS**2) @ count_KS.T + count_CS @ (value_KS**2).T - 2 * value_CS @ value_KS.T
    squares_CK = np.maximum(square_CK - sum_CK**2 / np.maximum(shared_CK, 1), 0.0)
    return shared_CK.astype(np.intp), sum_CK, squares_CK
