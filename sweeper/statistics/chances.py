"""The chance that a configuration is the best, and that it is within a margin of the best. No guarantee: a
chance.

Draws of what the values may truly be: each configuration's mean, plus Student's t times its own error over
seeds, plus an error of the text that all share. Its variance over seeds is that of its residuals, drawn
towards the mean of all by two degrees; one that ran once has the mean's, and tails as wide as two degrees
make them. Shapes: C configurations, S seeds, D documents, N draws."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sweeper.statistics.clusters import Text
from sweeper.statistics.differences import Pooled, pooled
from sweeper.statistics.field import Array, Field

PRIOR = 2.0
DRAWS = 8000  # a chance of 0.95 is known to 0.0025


class Chances(NamedTuple):
    best_C: Array
    within_C: Array  # of the best, by the margin


def chances(field: Field, margin: float, spread: Pooled | None = None) -> Chances | None:
    """margin: nats per token. spread: of more runs than these; None is returned where no spread is known.

    The same draws whenever it is asked.
    """
    value_CS, ran_CS, seeds_C = field.value_CS, field.ran_CS, field.seeds_C
    spread = spread or pooled(value_CS)
    if not spread.degrees:
        return None
    mean_C, nats_CD = field.means()
    C = len(mean_C)
    residual_CS = np.where(ran_CS, value_CS - mean_C[:, None], 0.0)
    effect_S = residual_CS.sum(0) / np.maximum(ran_CS.sum(0), 1)
    own_CS = np.where(ran_CS, residual_CS - effect_S, 0.0)
    own_C = (own_CS**2).sum(1) * C / max(C - 1, 1)  # a C-th of it went into the seeds' effects
    degrees_C = PRIOR + seeds_C - 1
    error_C = np.sqrt((PRIOR * spread.variance / 2 + own_C) / degrees_C / seeds_C)

    t_CN = np.array([_draws(c, degrees) for c, degrees in enumerate(degrees_C.astype(int).tolist())])
    value_CN = mean_C[:, None] + error_C[:, None] * t_CN
    text = Text(field.tokens_D)
    if len(field.tokens_D) > 1:
        value_CN += text.residuals(nats_CD) @ _draws_of_text(len(field.tokens_D), text.degrees)
    lowest_N = value_CN.min(0)
    return Chances((value_CN == lowest_N).mean(1), (value_CN <= lowest_N + margin).mean(1))


@lru_cache(maxsize=1024)
def _draws(row: int, degrees: int) -> Array:
    """t_N of a row. A race asks for the same ones at every look."""
    return np.random.default_rng((row, degrees)).standard_t(degrees, DRAWS)


@lru_cache(maxsize=2)
def _draws_of_text(documents: int, degrees: float) -> Array:
    """t_DN: of a draw, all documents are drawn wider or narrower together."""
    rng = np.random.default_rng(documents)
    return rng.standard_normal((documents, DRAWS)) / np.sqrt(rng.chisquare(degrees, DRAWS) / degrees)
