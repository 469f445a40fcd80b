"""Everything random comes from (seed, what it is for, step): no generator's state is kept. No torch."""

import hashlib
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who only reads a specification needs no arrays
    import numpy as np


def seed_of(*parts: int | str) -> int:
    """63 bits that belong to these parts, the same on every machine."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1


def batch_rows(seed: int, phase: str, step: int, batch_size: int, sequences: int) -> "np.ndarray":
    """The rows of the training split that a step reads; step counts from 1 within its phase.

    Every epoch is a permutation of its own, and an epoch may end inside a batch.
    """
    import numpy as np

    epochs, places = np.divmod(np.arange((step - 1) * batch_size, step * batch_size), sequences)
    orders = [_epoch_order(seed, phase, int(e), sequences)[places[epochs == e]] for e in np.unique(epochs)]
    return np.concatenate(orders)


def strided_rows(seed: int, count: int, sequences: int) -> "np.ndarray":
    """min(count, sequences) rows, evenly strided over a split from a random start."""
    import numpy as np

    count = min(count, sequences)
    stride = sequences / count
    start = np.random.default_rng(seed_of(seed, "evaluation rows")).random()
    return np.floor((start + np.arange(count)) * stride).astype(np.int64)


@lru_cache(maxsize=2)
def _epoch_order(seed: int, phase: str, epoch: int, sequences: int) -> "np.ndarray":
    import numpy as np

    return np.random.default_rng(seed_of(seed, phase, "order", epoch)).permutation(sequences)
