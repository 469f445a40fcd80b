"""How long texts are, in tokens: generated ones beside the documents that a model was trained on.

Tokens of text alone: BOS and EOS are not counted. (The report's Table 6 prints denoiser passes, and calls
them lengths.) D documents, S sequences, L length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from trainer.errors import SamplesError

if TYPE_CHECKING:
    from trainer.data.packing import PackedSplit
    from trainer.data.tokenizer import Tokenizer
    from trainer.sampling.samples_file import SavedSample

MOST_TOKENS = 50_000_000  # of a split, its first, are counted


def statistics(tokens_D: np.ndarray) -> dict[str, float]:
    """Count, smallest, quartiles, largest and mean of lengths in tokens."""
    low, first, median, third, high = np.quantile(tokens_D, [0, 0.25, 0.5, 0.75, 1]).tolist()
    return {
        "count": len(tokens_D),
        "min": low,
        "q1": first,
        "median": median,
        "q3": third,
        "max": high,
        "mean": float(np.mean(tokens_D)),
    }


def sample_lengths(samples: Sequence[SavedSample], tokenizer: Tokenizer) -> np.ndarray:
    """tokens_D of samples, their prompts included. Raises SamplesError where a line has no tokens."""
    without = [number for number, each in enumerate(samples, 1) if each.tokens is None]
    if without:
        raise SamplesError(f"sample {without[0]} has no `tokens`, only a text")
    special = (tokenizer.bos_id, tokenizer.eos_id)
    return np.array([sum(token not in special for token in each.tokens or []) for each in samples])


def document_lengths(split: PackedSplit, tokenizer: Tokenizer) -> np.ndarray:
    """tokens_D of the split's documents; the last one that is counted may be cut off, and is left out."""
    rows = max(1, MOST_TOKENS // split.tokens_SL.shape[1])
    tokens_SL, documents_SL = np.asarray(split.tokens_SL[:rows]), np.asarray(split.documents_SL[:rows])
    is_text_SL = ~np.isin(tokens_SL, (tokenizer.bos_id, tokenizer.eos_id))
    tokens_D = np.bincount(documents_SL[is_text_SL], minlength=int(documents_SL.max()) + 1)
    return tokens_D[:-1] if len(tokens_D) > 1 else tokens_D
