"""The rule that named winners before comparisons with the best did, for boards on which all ran the same
seeds.

Everybody's error is one, E^2, the mean square of what configurations and seeds do not explain, with
(K - 1)(S - 1) degrees of freedom; documents count one each; a configuration is tied with the first unless
their difference exceeds Tukey's bound; the first is the winner where no other is tied. K configurations, S
seeds, D documents."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.worlds import Array
from sweeper.statistics.quantiles import tukey


class Formerly(NamedTuple):
    first: int
    difference_K: Array  # to the first
    margin_K: Array

    @property
    def tied_K(self) -> NDArray[np.bool_]:
        return self.difference_K <= self.margin_K

    @property
    def winner(self) -> bool:
        return int(self.tied_K.sum()) == 1


def formerly(nats_KSD: Array, tokens_D: Array) -> Formerly:
    K, S, D = nats_KSD.shape
    total = tokens_D.sum()
    value_KS, nats_KD = nats_KSD.sum(2) / total, nats_KSD.mean(1)
    mean_K = value_KS.mean(1)
    first = int(mean_K.argmin())
    left_KS = value_KS - mean_K[:, None] - value_KS.mean(0) + value_KS.mean()
    degrees = (K - 1) * (S - 1)
    of_seeds = tukey(K, degrees) * np.sqrt(2 * (left_KS**2).sum() / degrees / S)
    difference_K = mean_K - mean_K[first]
    left_KD = nats_KD - nats_KD[first] - difference_K[:, None] * tokens_D
    text_K = np.sqrt(D / (D - 1) * (left_KD**2).sum(1)) / total
    margin_K = np.hypot(of_seeds, tukey(K, D - 1) * text_K)
    margin_K[first] = 0.0
    return Formerly(first, difference_K, margin_K)
