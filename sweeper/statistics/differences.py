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
none better or worse. Where nothing connects the two, not even others that ran seeds of both, the seeds differ
as well: there the spread of one configuration over seeds stands for it.

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
    seeds: int = 1  # the most that two have in common

    @property
    def variance(self) -> float:
        """S0^2, of a pair's difference on one seed; NaN where nothing ran twice."""
        return self.squares / self.degrees if self.degrees else float("nan")

    def plus(self, other: "Pooled") -> "Pooled":
        return Pooled(
            self.squares + other.squares, self.degrees + other.degrees, max(self.seeds, other.seeds)
        )


class Differences(NamedTuple):
    """Of C configurations to K of them, in nats per token: [c, k] below 0 says that c is the better one."""

    mean_CK: Array
    shared_CK: NDArray[np.intp]  # seeds that both have run
    seeds_CK: Array  # standard error over seeds; infinite where no spread is known
    degrees_R: Array  # of it, by the number of shared seeds
    text_CK: Array  # standard error over text
    text_degrees: float

    @property
    def together_CK(self) -> NDArray[np.bool_]:
        """Whether the two have a spread of their own."""
        return self.shared_CK >= 2

    @property
    def degrees_CK(self) -> Array:
        return self.degrees_R[self.shared_CK]

    def of(self, rows_C: NDArray[np.intp]) -> "Differences":
        """Of some of the C configurations."""
        mine = {name: getattr(self, name)[rows_C] for name in ("mean_CK", "shared_CK", "seeds_CK", "text_CK")}
        return self._replace(**mine)

    def half_width(self, of_seeds: Callable[[float], float], of_text: float) -> Array:
        """Both errors in quadrature, each times its quantile. of_seeds: by degrees of freedom."""
        present = np.bincount(self.shared_CK.ravel(), minlength=len(self.degrees_R)) > 0
        # Of nothing, infinity would be no number: a quantile is 0 where there is one group.
        quantile_R = np.array(
            [of_seeds(float(d)) if here else 0.0 for d, here in zip(self.degrees_R, present, strict=True)]
        )
        with np.errstate(invalid="ignore"):
            half_CK = np.hypot(quantile_R[self.shared_CK] * self.seeds_CK, of_text * self.text_CK)
        return np.nan_to_num(half_CK, copy=False, nan=0.0, posinf=np.inf)


def pooled(value_CS: Array) -> Pooled:
    """Of all pairs of configurations, each on the seeds that both have run."""
    total = Pooled()
    patterns, members = [], []
    for common_S, rows in _by_pattern(~np.isnan(value_CS)):
        patterns.append(common_S)
        members.append(value_CS[rows])
    for p, q in combinations_with_replacement(range(len(patterns)), 2):
        common = patterns[p] & patterns[q]
        pairs = len(members[p]) * (len(members[q]) if p != q else (len(members[p]) - 1) / 2)
        if (seeds := int(common.sum())) < 2 or not pairs:
            continue
        ours, theirs = (_centred(members[each][:, common]) for each in (p, q))
        # sum over pairs of |a - b|^2
        squares = (
            len(theirs) * (ours**2).sum() + len(ours) * (theirs**2).sum() - 2 * ours.sum(0) @ theirs.sum(0)
        )
        squares = max(0.0, float(squares)) / (1 if p != q else 2)
        total = total.plus(Pooled(squares, pairs * (seeds - 1), seeds))
    return total


def differences(
    field: Field,
    to: Sequence[int] | NDArray[np.intp] | None = None,
    spread: Pooled | None = None,
    prior: float | None = None,
) -> Differences:
    """to: the K configurations; all, unless said. spread: of more runs than the field's, and prior: the
    degrees that it counts as; by default both are of the field."""
    at_K = np.asarray(range(len(field.nats_CSD)) if to is None else to, np.intp)
    spread = spread or pooled(field.value_CS)
    shared_CK, sum_CK, squares_CK = _deviations(field.value_CS, at_K)
    other_CK = np.arange(len(field.nats_CSD))[:, None] != at_K
    together_CK = shared_CK >= 2
    if prior is None:
        several = int((field.seeds_C >= 2).sum())
        prior = min(PRIOR, max(0.0, (several - 2.0) * (spread.seeds - 1)))
    own_CK = np.maximum(shared_CK - 1, 0)

    # Of nothing (no spread is known) the part is 0, not no number.
    known = prior * spread.variance if prior and spread.degrees else 0.0
    moderated_CK = (known + squares_CK) / np.maximum(prior + own_CK, 1)
    variance_CK = moderated_CK / np.maximum(shared_CK, 1)
    if not (together_CK | ~other_CK).all():
        variance_CK = np.where(together_CK, variance_CK, _alone(field, at_K, spread))
    mean_C, _ = field.means
    text = Text(field.tokens_D)
    shared_R = np.arange(field.ran_CS.shape[1] + 1)
    return Differences(
        mean_CK=np.where(together_CK, sum_CK / np.maximum(shared_CK, 1), mean_C[:, None] - mean_C[at_K]),
        shared_CK=shared_CK,
        seeds_CK=np.where(other_CK, np.sqrt(variance_CK), 0.0),
        degrees_R=np.where(shared_R >= 2, prior + shared_R - 1, max(spread.seeds - 1.0, 1.0)),
        text_CK=text.errors(field.residual_CD, field.residual_CD[at_K]),
        text_degrees=text.degrees,
    )


def level_variance(field: Field) -> float:
    """Of one configuration over seeds, their own effects included; infinite where none ran twice."""
    degrees = int(np.maximum(field.seeds_C - 1, 0).sum())
    if not degrees:
        return float("inf")
    plain_C1 = np.nanmean(field.value_CS, axis=1, keepdims=True)
    return float(np.nansum((field.value_CS - plain_C1) ** 2) / degrees)


def _alone(field: Field, at_K: NDArray[np.intp], spread: Pooled) -> Array:
    """Variance over seeds of the difference of two means, with the spread of others; infinite where there is
    none."""
    if not spread.degrees:
        return np.full((len(field.nats_CSD), len(at_K)), np.inf)
    share_CS, own_C = field.share_CS, 1 / np.maximum(field.seeds_C, 1)
    own_CK = own_C[:, None] + own_C[at_K]
    cross_CK = share_CS @ field.effects_SS @ share_CS[at_K].T
    of_C = np.einsum("cs,st,ct->c", share_CS, field.effects_SS, share_CS)
    of_effects_CK = of_C[:, None] + of_C[at_K] - 2 * cross_CK
    connected_CK = field.island_C[:, None] == field.island_C[at_K]
    of_one_run = spread.variance / 2  # a pair's is that of two
    if connected_CK.all():
        return np.asarray(of_one_run * (own_CK + of_effects_CK), np.float64)
    return np.where(connected_CK, of_one_run * (own_CK + of_effects_CK), level_variance(field) * own_CK)


def _by_pattern(ran_CS: NDArray[np.bool_]) -> list[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """The sets of seeds that there are, in order of their first row, each with its rows."""
    _, first, pattern_C = np.unique(
        np.packbits(ran_CS, axis=1), axis=0, return_index=True, return_inverse=True
    )
    order = np.argsort(first)
    return [(ran_CS[first[p]], np.flatnonzero(pattern_C.ravel() == p)) for p in order]


def _centred(value_CT: Array) -> Array:
    return value_CT - value_CT.mean(1, keepdims=True)


def _deviations(value_CS: Array, at_K: NDArray[np.intp]) -> tuple[NDArray[np.intp], Array, Array]:
    """(shared_CK, sum_CK, squares_CK): of each pair its common seeds, and there the sum of its differences
    and the squares of their deviations from their mean."""
    ran_CS = ~np.isnan(value_CS)
    count_CS = ran_CS.astype(float)
    value_CS = np.where(ran_CS, value_CS - np.nanmean(value_CS), 0.0)
    count_KS, value_KS = count_CS[at_K], value_CS[at_K]
    shared_CK = count_CS @ count_KS.T
    sum_CK = value_CS @ count_KS.T - count_CS @ value_KS.T
    square_CK = (value_CS**2) @ count_KS.T + count_CS @ (value_KS**2).T - 2 * value_CS @ value_KS.T
    squares_CK = np.maximum(square_CK - sum_CK**2 / np.maximum(shared_CK, 1), 0.0)
    return shared_CK.astype(np.intp), sum_CK, squares_CK
