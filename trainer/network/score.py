"""How a network is read as SEDD's score (Lou et al. 2024, arXiv 2310.16834): what it is told, what it says.

It is told sigma = -log(1 - p). Its log scores of a masked token are a - log(e^sigma - 1), where
a = logits - log(V - 1) over the V - 1 words.
Shapes: M masked tokens, V vocabulary.
"""

import math

import torch
from torch import Tensor

MAX_SIGMA = -math.log(1e-3)


def sigma_of(move_chance: Tensor) -> Tensor:
    """What the network is told of p, in p's shape: sigma, at most MAX_SIGMA."""
    return (-torch.log1p(-move_chance)).clamp(max=MAX_SIGMA)


def log_mass(logits_MV: Tensor) -> Tensor:
    """z_M: log of the sum of exp(a) over the words; 0 where the scores are those of a distribution."""
    return logits_MV.logsumexp(dim=-1) - math.log(logits_MV.shape[-1] - 1)
