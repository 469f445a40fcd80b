"""The chance that a configuration is the best, and that it is within a margin of the best. No guarantee: a
chance.

Draws of what the values may truly be: each configuration's mean, plus Student's t times its own error over
seeds, plus an error of the text that all share. Its variance over seeds is that of its residuals, drawn
towards the mean of all by two degrees; one that ran once has the mean's, and tails as wide as two degrees
make them. Shapes: C configurations, S seeds, D documents, N draws."""

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

    rng = np.random.default_rng(0)
    scale_NC = np.sqrt(rng.chisquare(degrees_C, (DRAWS, C)) / degrees_C)
    value_NC = mean_C + error_C * rng.standard_normal((DRAWS, C)) / scale_NC
    text = Text(field.tokens_D)
    if len(field.tokens_D) > 1:
        residual_CD = text.residuals(nats_CD)
        scale_N1 = np.sqrt(rng.chisquare(text.degrees, (DRAWS, 1)) / text.degrees)
        value_NC = value_NC + rng.standard_normal((DRAWS, residual_CD.shape[1])) @ residual_CD.T / scale_N1
    lowest_N1 = value_NC.min(1, keepdims=True)
    return Chances((value_NC == lowest_N1).mean(0), (value_NC <= lowest_N1 + margin).mean(0))
