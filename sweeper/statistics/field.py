"""Runs side by side: C configurations on S seeds, all scored on the same D documents; and their means.

A run of configuration c with seed s has the NELBO y_cs = sum_d nats_csd / sum_d tokens_d = mu_c + a_s + e_cs.
A seed sets the pretrain, the data order and the masks, so its effect a_s is common to all configurations that
use it, and far larger than what tells them apart (0.1 against 0.01 nats a token)."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweeper.statistics.clusters import Text

Array = NDArray[np.float64]


class Run(NamedTuple):
    configuration: int
    seed: int
    nats_D: Sequence[float]  # sums per document, in the evaluation set's order


@dataclass(frozen=True, eq=False)
class Field:
    nats_CSD: Array  # NaN where a configuration did not run a seed
    tokens_D: Array

    @cached_property
    def value_CS(self) -> Array:
        """Nats per token; NaN where there is no run."""
        return np.asarray(self.nats_CSD.sum(-1) / self.tokens_D.sum(), np.float64)

    @cached_property
    def ran_CS(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.nats_CSD[..., 0])

    @cached_property
    def seeds_C(self) -> NDArray[np.intp]:
        return self.ran_CS.sum(1)

    def first(self, seeds: int) -> "Field":
        """The same, as far as the first seeds go."""
        return Field(self.nats_CSD[:, :seeds], self.tokens_D)

    def of(self, rows: Sequence[int] | NDArray[np.intp]) -> "Field":
        """Some of the configurations."""
        return Field(self.nats_CSD[np.asarray(rows, np.intp)], self.tokens_D)

    @cached_property
    def means(self) -> tuple[Array, Array]:
        """(mean_C, nats_CD): of each configuration, the seeds' effects taken out.

        Least squares, with the effects of the seeds that a configuration is connected to (directly or through
        others) summing to 0. So one that ran on seed 0 alone is not punished for an unlucky seed 0 where
        others show that it is one; where all ran the same seeds it is the plain mean."""
        if self.ran_CS.all():
            nats_CD = self.nats_CSD.mean(1)
            return nats_CD.sum(-1) / self.tokens_D.sum(), nats_CD
        ran_CS, share_CS = self.ran_CS, self.share_CS
        plain_CD = np.zeros((len(ran_CS), len(self.tokens_D)))
        for s, ran_C in enumerate(ran_CS.T):  # seed by seed: a copy of all nats may be large
            plain_CD[ran_C] += share_CS[ran_C, s, None] * self.nats_CSD[ran_C, s]
        within_SD = np.stack(
            [(self.nats_CSD[ran_C, s] - plain_CD[ran_C]).sum(0) for s, ran_C in enumerate(ran_CS.T)]
        )
        nats_CD = plain_CD - share_CS @ (self.effects_SS @ within_SD)
        return nats_CD.sum(-1) / self.tokens_D.sum(), nats_CD

    @cached_property
    def residual_CD(self) -> Array:
        """Of the means, by document (clusters.py)."""
        return Text(self.tokens_D).residuals(self.means[1])

    @cached_property
    def share_CS(self) -> Array:
        """Of each configuration's runs, the part that each seed is."""
        return np.asarray(self.ran_CS / np.maximum(self.seeds_C, 1)[:, None], np.float64)

    @cached_property
    def effects_SS(self) -> Array:
        """The seeds' effects from what is left of their sums once configurations' means are taken out: the
        pseudo-inverse of the normal equations, whose solution is the one of least norm."""
        ran_CS = self.ran_CS.astype(float)
        normal_SS = np.diag(ran_CS.sum(0)) - ran_CS.T @ self.share_CS
        return np.asarray(np.linalg.pinv(normal_SS, hermitian=True), np.float64)

    @cached_property
    def island_C(self) -> NDArray[np.intp]:
        """Equal where configurations are connected: by a common seed, or by others that have one with each.

        Between islands nothing tells seeds from configurations."""
        ran_CS = self.ran_CS.astype(float)
        linked_SS = ran_CS.T @ ran_CS > 0
        for _ in range(int(np.ceil(np.log2(max(2, len(linked_SS)))))):
            linked_SS = linked_SS @ linked_SS
        first_S = linked_SS.argmax(1)
        return np.asarray(first_S[self.ran_CS.argmax(1)], np.intp)


def field_of(runs: Sequence[Run], tokens_D: Sequence[float]) -> tuple[list[int], Field]:
    """The configurations in order, and their runs; the seeds in order.

    Raises ValueError where a run's documents are not as many as tokens_D, or a (configuration, seed) comes
    twice."""
    if any(len(run.nats_D) != len(tokens_D) for run in runs):
        raise ValueError("runs are compared on the same documents only")
    configurations = sorted({run.configuration for run in runs})
    seeds = sorted({run.seed for run in runs})
    row, column = ({key: place for place, key in enumerate(keys)} for keys in (configurations, seeds))
    nats_CSD = np.full((len(configurations), len(seeds), len(tokens_D)), np.nan)
    at = [(row[run.configuration], column[run.seed]) for run in runs]
    if len(set(at)) < len(at):
        raise ValueError("a configuration has two runs with the same seed")
    if runs:
        nats_CSD[tuple(np.transpose(at))] = _table([run.nats_D for run in runs])
    return configurations, Field(nats_CSD, np.array(tokens_D, np.float64))


def _table(rows: Sequence[Sequence[float]]) -> Array:
    """Of equally long ones. Arrays, as which the store's are held, lie in memory as they are needed."""
    arrays = [each for each in rows if isinstance(each, array) and each.typecode == "d"]
    if len(arrays) == len(rows):
        return np.frombuffer(b"".join(arrays), np.float64).reshape(len(rows), -1)
    return np.array(rows, np.float64)
