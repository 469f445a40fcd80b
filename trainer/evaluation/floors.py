"""What a model must beat before it has learnt anything: counts of one token, and of two.

Nats per maskable token, on exactly the tokens that the bound scores: positions 1 to L - 1 of each
sequence (BOS is given). Shapes: S sequences, L length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.data.counts import counted_rows, pieces, token_counts
from trainer.randomness import strided_rows

if TYPE_CHECKING:
    from trainer.config.evaluation import EvaluationConfig
    from trainer.data.corpus import Corpus


def floors(corpus: Corpus, evaluation: EvaluationConfig) -> dict[str, float]:
    """Both floors on the sequences of the valid split that the bound is estimated on."""
    train_SL, valid_SL = corpus.train.tokens_SL, corpus.valid.tokens_SL
    counted_SL = counted_rows(train_SL)
    scored_SL = valid_SL[strided_rows(evaluation.seed, evaluation.sequences, len(valid_SL))]
    size = corpus.tokenizer.vocab_size
    return {
        "unigram_nelbo": unigram_nelbo(counted_SL, scored_SL, size),
        "bigram_nelbo": bigram_nelbo(counted_SL, scored_SL, size),
    }


def unigram_nelbo(train_SL: np.ndarray, eval_SL: np.ndarray, vocab_size: int) -> float:
    """-log p(x), with p(x) = (count(x) + 1) / (tokens + vocab_size) over the train split."""
    counts_V = token_counts(train_SL, vocab_size)
    scored = eval_SL[:, 1:].ravel()
    return float(np.log(counts_V.sum() + vocab_size) - np.log(counts_V[scored] + 1.0).mean())


def bigram_nelbo(train_SL: np.ndarray, eval_SL: np.ndarray, vocab_size: int) -> float:
    """-log p(x | y), y the token before, with p(x | y) = (count(y x) + 1) / (count(y) + vocab_size).

    Pairs do not reach over sequences. Only pairs that occur in eval_SL are counted, so that a vocabulary
    of 50,000 needs no table of 2.5e9.
    """
    wanted, where = np.unique(_pairs(eval_SL, vocab_size), return_inverse=True)
    counts = np.zeros(len(wanted), np.int64)
    before_V = np.zeros(vocab_size, np.int64)
    for rows_SL in pieces(train_SL):
        pairs = _pairs(rows_SL, vocab_size)
        places = np.minimum(np.searchsorted(wanted, pairs), len(wanted) - 1)
        counts += np.bincount(places[wanted[places] == pairs], minlength=len(wanted))
        before_V += np.bincount(rows_SL[:, :-1].ravel(), minlength=vocab_size)
    given = eval_SL[:, :-1].ravel()
    return float((np.log(before_V[given] + float(vocab_size)) - np.log(counts[where.ravel()] + 1.0)).mean())


def _pairs(tokens_SL: np.ndarray, vocab_size: int) -> np.ndarray:
    """y * V + x of each scored x and the y before it."""
    wide_SL = tokens_SL.astype(np.int64)
    return (wide_SL[:, :-1] * vocab_size + wide_SL[:, 1:]).ravel()
