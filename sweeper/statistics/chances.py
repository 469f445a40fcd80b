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
    """margin: nats per token. spread: of more runs than these. The same draws whenever it is asked.

    None is returned where no spread is known, over seeds or over documents, or where nothing connects
    some configurations to others.
    """
    spread = spread or pooled(field.value_CS)
    text = Text(field.tokens_D)
    if not spread.degrees or len(field.tokens_D) < 2 or len(np.unique(field.island_C)) > 1:
        return None
    mean_C, nats_CD = field.means
    degrees_C = PRIOR + field.seeds_C - 1
    variance_C = (PRIOR * spread.variance / 2 + _own_squares(field)) / degrees_C
    error_C = np.sqrt(variance_C / field.seeds_C)

    t_CN = np.array([_draws(c, degrees) for c, degrees in enumerate(degrees_C.astype(int).tolist())])
    value_CN = mean_C[:, None] + error_C[:, None] * t_CN
    # As many directions in which the text may err as there are documents or configurations.
    of_text_KC = np.asarray(np.linalg.qr(text.residuals(nats_CD).T, mode="r"))
    value_CN += of_text_KC.T @ _draws_of_text(len(of_text_KC), text.degrees)
    lowest_N = value_CN.min(0)
    return Chances((value_CN == lowest_N).mean(1), (value_CN <= lowest_N + margin).mean(1))


def _own_squares(field: Field) -> Array:
    """Of each configuration's runs, what neither its mean nor a seed's effect explains, squared; what the
    effects took of it is given back: of n that tell of seeds, an n-th."""
    mean_C, _ = field.means
    residual_CS = np.where(field.ran_CS, field.value_CS - mean_C[:, None], 0.0)
    effect_S = residual_CS.sum(0) / np.maximum(field.ran_CS.sum(0), 1)
    own_CS = np.where(field.ran_CS, residual_CS - effect_S, 0.0)
    several = int((field.seeds_C > 1).sum())
    return np.asarray((own_CS**2).sum(1) * several / max(several - 1, 1), np.float64)


@lru_cache(maxsize=1024)
def _draws(row: int, degrees: int) -> Array:
    """t_N of a row. A race asks for the same ones at every look."""
    return np.random.default_rng((row, degrees)).standard_t(degrees, DRAWS)


@lru_cache(maxsize=2)
def _draws_of_text(directions: int, degrees: float) -> Array:
    """t_KN: of a draw, all are drawn wider or narrower together."""
    rng = np.random.default_rng(directions)
    return rng.standard_normal((directions, DRAWS)) / np.sqrt(rng.chisquare(degrees, DRAWS) / degrees)
