"""By how much does each document miss what its trial comes to? What a sampler that weighs errors is told."""

import math
from collections.abc import Sequence


def deviations(metric: str, value: float, nats_D: Sequence[float], tokens_D: Sequence[int]) -> list[float]:
    """In the metric's units, which ranks: the sum of squares is the square of its standard error.

    Those of trainer.evaluation.record.ratio_and_se, by the delta method: an exponential's derivative is its
    value, and bits per byte are proportional to nats per token. [] of a single document.
    """
    tokens, documents = sum(tokens_D), len(nats_D)
    if documents < 2:
        return []
    nelbo = math.fsum(nats_D) / tokens
    slope = {"val_nelbo": 1.0, "val_ppl": value, "val_bpb": value / nelbo}[metric]
    scale = slope * math.sqrt(documents / (documents - 1)) / tokens
    return [scale * (nats - nelbo * count) for nats, count in zip(nats_D, tokens_D, strict=True)]
