"""What a model must beat before it has learnt anything: counts of one token, of two and of three.

Nats per maskable token, on exactly the tokens that the bound scores: positions 1 to L - 1 of each
sequence (BOS is given). Shapes: S sequences, L length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from trainer.data.counts import counted_rows, pieces, token_counts
from trainer.evaluation.kneser_ney import kneser_ney
from trainer.randomness import strided_rows

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.config.evaluation import EvaluationConfig
    from trainer.data.corpus import Corpus

FLOORS = {  # what each is called
    "unigram_nelbo": "unigram, add-one",
    "bigram_nelbo": "bigram, add-one",
    "kn_bigram_nelbo": "bigram, Kneser-Ney",
    "kn_trigram_nelbo": "trigram, Kneser-Ney",
    "source_nelbo": "the source itself",
}

# By the folder, whose name says what is in it, and which sequences are looked at.
_COUNTED: dict[tuple[Path, int, int], dict[str, float]] = {}


def floors(corpus: Corpus, evaluation: EvaluationConfig) -> dict[str, float]:
    """Floors on the sequences of the valid split that the bound is estimated on; and what its source itself
    pays for them, where its law is known: no honest bound lies below, but by chance.

    Counted once in a process: the trials of a worker are of one text, and fifty million tokens may be."""
    of = corpus.folder, evaluation.seed, evaluation.sequences
    if of not in _COUNTED:
        _COUNTED[of] = _floors(corpus, evaluation)
    return dict(_COUNTED[of])


def _floors(corpus: Corpus, evaluation: EvaluationConfig) -> dict[str, float]:
    train_SL, valid_SL = corpus.train.tokens_SL, corpus.valid.tokens_SL
    counted_SL = counted_rows(train_SL)
    scored_SL = valid_SL[strided_rows(evaluation.seed, evaluation.sequences, len(valid_SL))]
    size = corpus.tokenizer.vocab_size
    smoothed = kneser_ney(counted_SL, scored_SL, size)
    found = {
        "unigram_nelbo": unigram_nelbo(counted_SL, scored_SL, size),
        "bigram_nelbo": bigram_nelbo(counted_SL, scored_SL, size),
        "kn_bigram_nelbo": smoothed.bigram,
        "kn_trigram_nelbo": smoothed.trigram,
    }
    exact_SL = corpus.source.exact_nats_SL(scored_SL)
    return found if exact_SL is None else {**found, "source_nelbo": float(exact_SL[:, 1:].mean())}


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
