"""How often each word occurs in the text that a model is trained on. S sequences, L length, V vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ROWS = 65_536  # sequences read at once: a train split may be larger than memory
MOST_TOKENS = 50_000_000  # of the train split, its first, are counted


def counted_rows(train_SL: np.ndarray) -> np.ndarray:
    """Of the train split the sequences whose tokens are counted: its first."""
    return train_SL[: max(1, MOST_TOKENS // train_SL.shape[1])]


def token_counts(train_SL: np.ndarray, vocab_size: int) -> np.ndarray:
    """counts_V of the rows that are counted, BOS left out."""
    import numpy as np

    counts_V = np.zeros(vocab_size, np.int64)
    for rows_SL in pieces(counted_rows(train_SL)):
        counts_V += np.bincount(rows_SL[:, 1:].ravel(), minlength=vocab_size)
    return counts_V


def pieces(tokens_SL: np.ndarray) -> Iterator[np.ndarray]:
    """The rows, no more in memory at once than ROWS of them."""
    import numpy as np

    for first in range(0, len(tokens_SL), ROWS):
        yield np.asarray(tokens_SL[first : first + ROWS])
