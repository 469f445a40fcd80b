"""From nats per token and its standard error to a perplexity with a 95% interval."""

import math
from typing import NamedTuple

from trainer.evaluation.record import MAX_NELBO


class Interval(NamedTuple):
    ppl: float
    low: float  # of the 95% interval
    high: float


def ppl_interval(nelbo: float, se: float, clusters: int) -> Interval:
    """exp(nelbo -+ t * se), Student's t with clusters - 1 degrees of freedom; from 0 to inf for one cluster.

    Symmetric in nats, where the error is; so the perplexity is not its middle.
    """
    if clusters < 2 or not math.isfinite(se):
        return Interval(_exp(nelbo), 0.0, math.inf)
    from scipy.stats import t

    margin = float(t.ppf(0.975, clusters - 1)) * se
    return Interval(_exp(nelbo), _exp(nelbo - margin), _exp(nelbo + margin))


def _exp(nats: float) -> float:
    return math.exp(nats) if nats < MAX_NELBO else math.inf
