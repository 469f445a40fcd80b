"""Interpolated Kneser-Ney models of two and of three tokens (Kneser & Ney 1995; Chen & Goodman 1999).

A token x is predicted from v, the one before it, and u, the one before that. With counts over the train
split, c of an n-gram and of its context,

    p(x | context) = (max(c(context x) - d, 0) + d * kinds(context) * p(x | shorter context)) / c(context)

where kinds are the different tokens that follow the context, and d = n1 / (n1 + 2 n2) is one discount for
each order, made of how many n-grams occur once and twice. Below the highest order an n-gram counts as often
as there are different tokens before it. The last resort is 1 / V; a context that never occurs leaves it to
the shorter one.
Shapes: S sequences, L length, Q queries, G different n-grams of train, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from trainer.data.counts import counted_rows

AT_ONCE = 2**22  # tokens of train that are read or sorted at once: bounds memory


class Queries(NamedTuple):
    """Tokens that are predicted, and the two before each."""

    u_Q: np.ndarray  # int64
    v_Q: np.ndarray
    x_Q: np.ndarray


class Nelbos(NamedTuple):
    bigram: float  # nats per token
    trigram: float


def kneser_ney(train_SL: np.ndarray, eval_SL: np.ndarray, vocab_size: int) -> Nelbos:
    """Of the tokens behind BOS, each predicted within its sequence."""
    bigram_Q, trigram_Q = probabilities(train_SL, queries_of(eval_SL), vocab_size)
    return Nelbos(float(-np.log(bigram_Q).mean()), float(-np.log(trigram_Q).mean()))


def queries_of(tokens_SL: np.ndarray) -> Queries:
    """Every token behind BOS, which stands as often before its sequence as there is nothing else."""
    wide_SL = np.asarray(tokens_SL, np.int64)
    before_SL = np.concatenate([wide_SL[:, :1], wide_SL[:, :-2]], axis=1)
    return Queries(before_SL.ravel(), wide_SL[:, :-1].ravel(), wide_SL[:, 1:].ravel())


def probabilities(train_SL: np.ndarray, queries: Queries, vocab_size: int) -> tuple[np.ndarray, np.ndarray]:
    """p_Q of the bigram model and of the trigram model.

    Only n-grams that are asked for are looked up; what is summed over all of them is counted in parts, a
    share of the tokens v at a time.
    """
    u_Q, v_Q, x_Q = queries
    vx_Q, nothing_Q = v_Q * vocab_size + x_Q, np.zeros_like(x_Q)
    trigrams = Order(vx_Q * vocab_size + u_Q, v_Q * vocab_size + u_Q)
    bigrams, continued_bigrams = Order(vx_Q, v_Q), Order(vx_Q, v_Q)
    continued_unigrams = Order(x_Q, nothing_Q)
    kinds_before_V = np.zeros(vocab_size, np.int64)
    for vxu_G, counts_G in _counted(counted_rows(train_SL), vocab_size):
        vx_G, u_G = np.divmod(vxu_G, vocab_size)
        trigrams.add(vxu_G, vx_G // vocab_size * vocab_size + u_G, counts_G)
        first_G = np.flatnonzero(np.diff(vx_G, prepend=-1))  # of each bigram: its trigrams stand together
        vx_G = vx_G[first_G]
        bigrams.add(vx_G, vx_G // vocab_size, np.add.reduceat(counts_G, first_G))
        kinds_G = np.diff(first_G, append=len(vxu_G))
        continued_bigrams.add(vx_G, vx_G // vocab_size, kinds_G)
        kinds_before_V += np.bincount(vx_G % vocab_size, minlength=vocab_size)
    x_G = np.flatnonzero(kinds_before_V)
    continued_unigrams.add(x_G, np.zeros_like(x_G), kinds_before_V[x_G])

    unigram_Q = continued_unigrams.probability(np.full(len(x_Q), 1 / vocab_size))
    bigram_Q = bigrams.probability(unigram_Q)
    return bigram_Q, trigrams.probability(continued_bigrams.probability(unigram_Q))


class Order:
    """The n-grams of one length: counts of those that are asked for, and of their contexts."""

    def __init__(self, grams_Q: np.ndarray, contexts_Q: np.ndarray):
        self._grams, self._gram_Q = np.unique(grams_Q, return_inverse=True)
        self._contexts, self._context_Q = np.unique(contexts_Q, return_inverse=True)
        self._counts = np.zeros(len(self._grams))
        self._totals, self._kinds = np.zeros((2, len(self._contexts)))
        self._once = self._twice = 0

    def add(self, grams_G: np.ndarray, contexts_G: np.ndarray, counts_G: np.ndarray) -> None:
        """Different n-grams of train; over all calls, each of them once."""
        self._once += int(np.count_nonzero(counts_G == 1))
        self._twice += int(np.count_nonzero(counts_G == 2))
        self._counts += _summed(self._grams, grams_G, counts_G)
        self._totals += _summed(self._contexts, contexts_G, counts_G)
        self._kinds += _summed(self._contexts, contexts_G, np.ones_like(counts_G))

    def probability(self, shorter_Q: np.ndarray) -> np.ndarray:
        """p_Q, given that of the shorter context."""
        discount = self._once / (self._once + 2 * self._twice) if self._once else 0.5
        total_Q = self._totals[self._context_Q]
        kept_Q = np.maximum(self._counts - discount, 0)[self._gram_Q]
        given_up_Q = discount * self._kinds[self._context_Q]
        return np.where(total_Q > 0, (kept_Q + given_up_Q * shorter_Q) / np.maximum(total_Q, 1), shorter_Q)


def _summed(wanted: np.ndarray, keys_G: np.ndarray, values_G: np.ndarray) -> np.ndarray:
    """For each of the wanted keys, which are sorted, the sum of the values that stand under it."""
    place_G = np.minimum(np.searchsorted(wanted, keys_G), len(wanted) - 1)
    found_G = wanted[place_G] == keys_G
    return np.bincount(place_G[found_G], values_G[found_G], len(wanted))


def _counted(train_SL: np.ndarray, vocab_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """vxu_G, sorted, and how often each occurs: first those of some tokens v, then those of others."""
    rows = max(1, AT_ONCE // train_SL.shape[1])
    parts = max(1, -(-train_SL.size // AT_ONCE))
    for part in range(parts):
        keys = [np.empty(0, np.int64)]
        for first in range(0, len(train_SL), rows):
            u_Q, v_Q, x_Q = queries_of(train_SL[first : first + rows])
            keys.append(((v_Q * vocab_size + x_Q) * vocab_size + u_Q)[v_Q % parts == part])
        yield np.unique(np.concatenate(keys), return_counts=True)
