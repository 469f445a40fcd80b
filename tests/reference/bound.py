"""The bound by definition: every mask of a block enumerated, and time integrated or drawn.

For masks of a block of M tokens, n of them masked, the NELBO puts on each
    integral over p in (low, high) of (1/p) p^n (1-p)^(M-n) dp.
"""

from itertools import product

import torch
from numpy.polynomial.legendre import leggauss


def mask_weight(masked: int, maskable: int, low: float = 0.0, high: float = 1.0) -> float:
    """The integral above, by Gauss-Legendre: exact for the polynomial that it is."""
    nodes, weights = leggauss(16)
    p = low + (high - low) * (nodes + 1) / 2
    return float(((high - low) / 2 * weights * p ** (masked - 1) * (1 - p) ** (maskable - masked)).sum())


def enumerate_bound(nats_of, x0_L, block_size: int, mask_id: int, low: float = 0.0, high: float = 1.0):
    """nats_L: each token's share, masking rates from low to high. nats_of(xt_BL, x0_BL) -> nats_BL.

    The other blocks stay clean while one is enumerated: no block reads another's noise.
    """
    total_L = torch.zeros(len(x0_L), dtype=torch.float64)
    for first in range(0, len(x0_L), block_size):
        maskable = range(max(first, 1), first + block_size)
        chosen = [c for c in product((False, True), repeat=len(maskable)) if any(c)]
        if not chosen:
            continue
        masked_EL = torch.zeros(len(chosen), len(x0_L), dtype=torch.bool)
        masked_EL[:, maskable.start : maskable.stop] = torch.tensor(chosen)
        x0_EL = x0_L.expand_as(masked_EL)
        nats_EL = nats_of(torch.where(masked_EL, mask_id, x0_EL), x0_EL).double()
        weights = [mask_weight(sum(c), len(maskable), low, high) for c in chosen]
        weight_E = torch.tensor(weights, dtype=torch.float64)
        total_L += (weight_E[:, None] * nats_EL * masked_EL).sum(dim=0)
    return total_L
