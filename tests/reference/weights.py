"""Loss weights as the table of docs/formulas.md section 3 prints them, for one masking rate p at a time."""

import math
from itertools import pairwise
from statistics import NormalDist

from trainer.noise.reweighting import (
    Curve,
    Edm,
    FlowMatching,
    Iddpm,
    Reweighting,
    Sigmoid,
    Simple,
    Unweighted,
)


def weight(reweighting: Reweighting, p: float, loss_scale: float) -> float:
    """w at log-SNR lambda = log((1 - p) / p), p kept 1e-9 inside of (0, 1)."""
    rate = p
    p = min(max(p, 1e-9), 1 - 1e-9)
    log_snr = math.log((1 - p) / p)
    match reweighting:
        case Unweighted():
            return 1.0
        case Edm():
            return NormalDist(2.4, 2.4).pdf(log_snr) * (math.exp(-log_snr) + 0.5**2) / 0.5**2
        case Iddpm():
            return 1 / math.cosh(log_snr / 2)
        case Sigmoid():
            return 1 / (1 + math.exp(log_snr - reweighting.k))
        case FlowMatching():
            return math.exp(-log_snr / 2)
        case Simple():
            return 1 / loss_scale
        case Curve():
            heights = [getattr(reweighting, f"d{each}") for each in (0, 20, 40, 60, 80, 100)]
            if reweighting.rises:
                heights = [sum(heights[: i + 1]) for i in range(len(heights))]
            while len(heights) > 1:  # de Casteljau
                heights = [(1 - rate) * a + rate * b for a, b in pairwise(heights)]
            return heights[0]
    raise NotImplementedError(reweighting)
