"""A source of made-up words whose likelihood of any sequence is known: no honest bound lies below it.

Shapes: S sequences, L length, M tokens of the source in a sequence, K symbols (the words, then the end of
a document). A context is the last `order` symbols: one axis of K for each.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate, product
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from trainer.data.base import DataSet, Split

if TYPE_CHECKING:
    import numpy as np

    from trainer.data.tokenizer import Tokenizer

# Raise it when the same settings would give another word or another probability.
SOURCE_VERSION = 1
LARGEST_TABLE = 2**20  # probabilities; the stationary law takes seconds there
ONSETS = ("b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "br", "dr", "kl", "pl", "st", "tr")
VOWELS = ("a", "e", "i", "o", "u", "ai", "ou")
CODAS = ("", "", "", "l", "m", "n", "r", "s")


class Synthetic(DataSet):
    """Documents of a Markov chain over made-up words, one token a word; it needs no download.

    Every context has `branching` possible next words, chosen at random, whose probabilities fall by Zipf's
    law with the exponent that gives `entropy`; after every word the document ends with probability
    1 / document_words. A split's stream begins in the stationary law, as if cut out of an endless one, so
    that every packed sequence, wherever it was cut, has the law that `exact_nats_SL` computes.
    """

    independent: ClassVar[bool] = True

    name: Literal["synthetic"] = "synthetic"
    length: int = Field(64, ge=4, le=1_000_000, description="L, tokens in a packed sequence, BOS included.")
    tokenizer: Literal["words"] = Field("words", description="One word is one token.")
    seed: int = Field(0, ge=0, description="Of the words, the transitions and the documents.")
    words: int = Field(64, ge=2, le=1000, description="Words there are.")
    order: Literal[1, 2] = Field(1, description="Words that the next one depends on.")
    branching: int = Field(8, ge=2, description="Words that can follow a context.")
    entropy: float = Field(1.5, gt=0, description="Of the next word given its context, in nats.")
    document_words: float = Field(30.0, gt=1, le=200, description="Mean words of a document.")
    train_sequences: int = Field(4096, ge=1, le=10_000_000, description="Packed sequences of train.")
    held_out_sequences: int = Field(
        512, ge=1, le=10_000_000, description="Packed sequences of valid, and of test."
    )

    @model_validator(mode="after")
    def _possible(self) -> Synthetic:
        if self.branching > self.words:
            raise ValueError(f"branching is {self.branching}, but there are {self.words} words")
        if self.entropy >= math.log(self.branching):
            most = math.log(self.branching)
            raise ValueError(
                f"entropy is {self.entropy:g}, but {self.branching} words have less than {most:.3f} nats"
            )
        if (self.words + 1) ** (self.order + 1) > LARGEST_TABLE:
            raise ValueError(f"{self.words} words are too many for order {self.order}")
        return self

    def documents(self, split: Split) -> Iterator[str]:
        """The first is the rest of a document, and may be empty; the last may be cut off.

        Their tokens, EOS included, fill the split's sequences exactly; the EOS that packing puts after a
        last one that was cut off is left over, and dropped.
        """
        chain = self._chain()
        rng = random.Random(f"{self.seed} {split}")
        sequences = self.train_sequences if split == "train" else self.held_out_sequences
        context = rng.choices(list(chain.next), cum_weights=list(accumulate(chain.law_K.ravel().tolist())))[0]
        text: list[str] = []
        for _ in range(sequences * self._body):
            symbols, cumulative = chain.next[context]
            symbol = symbols[bisect(cumulative, rng.random() * cumulative[-1])]
            context = (*context[1:], symbol)
            if symbol < self.words:
                text.append(chain.words[symbol])
            else:
                yield " ".join(text)
                text = []
        if text:
            yield " ".join(text)

    def fingerprint(self) -> dict[str, str]:
        settings = self.model_dump(exclude={"name", "length", "tokenizer", "vocab_size", "forced_eos"})
        return {"source": f"synthetic {SOURCE_VERSION}", **{key: str(each) for key, each in settings.items()}}

    def own_tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, pre_tokenizers

        from trainer.data.tokenizer import Tokenizer

        backend = Backend(models.WordLevel({word: i for i, word in enumerate(self._chain().words)}))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        bos, eos, mask = range(self.words, self.words + 3)
        return Tokenizer(backend, self.words + 3, bos_id=bos, eos_id=eos, mask_id=mask)

    def exact_nats_SL(self, tokens_SL: np.ndarray) -> np.ndarray:
        """-log p(token | the tokens before it in its sequence) of packed sequences, in nats, float64.

        0 for BOS, and for the EOS that forced_eos puts at the end; inf for what the source cannot write. What
        stood before a sequence is unknown to it, so its first tokens follow the stationary law.
        """
        import numpy as np

        chain, order = self._chain(), self.order
        tokens_SM = np.asarray(tokens_SL, np.int64)[:, 1 : 1 + self._body]
        symbols_MS = np.where(tokens_SM == self.words + 1, self.words, tokens_SM).T
        stray_MS = (tokens_SM == self.words).T | (symbols_MS < 0) | (symbols_MS > self.words)
        symbols_MS = np.where(stray_MS, 0, symbols_MS)
        prob_MS = np.empty(symbols_MS.shape)
        for i in range(len(symbols_MS)):
            if i < order:  # p(x_0 .. x_i) / p(x_0 .. x_i-1)
                joint_S = chain.law_K.sum(axis=tuple(range(i + 1, order)))[tuple(symbols_MS[: i + 1])]
                given_S = chain.law_K.sum(axis=tuple(range(i, order)))[tuple(symbols_MS[:i])]
                prob_MS[i] = np.divide(joint_S, given_S, out=np.zeros_like(joint_S), where=given_S > 0)
            else:
                prob_MS[i] = chain.next_KK[tuple(symbols_MS[i - order : i + 1])]
        prob_MS[stray_MS] = 0.0
        nats_SL = np.zeros(np.shape(tokens_SL))
        with np.errstate(divide="ignore"):
            nats_SL[:, 1 : 1 + self._body] = -np.log(prob_MS.T)
        return nats_SL

    @property
    def entropy_rate(self) -> float:
        """Nats per token of the endless stream, EOS included: what exact_nats_SL tends to."""
        end = 1 / self.document_words
        per_document = self.document_words * (_entropy([end, 1 - end]) + (1 - end) * self.entropy)
        return (per_document + self.entropy) / (self.document_words + 1)

    @property
    def _body(self) -> int:
        return self.length - 1 - int(self.forced_eos)

    def _chain(self) -> Chain:
        return _chain(
            self.seed, self.words, self.order, self.branching, self.entropy, 1 / self.document_words
        )


class Chain(NamedTuple):
    """The source: its words, the law of the next symbol in every context, and the law of contexts."""

    words: list[str]
    next: dict[tuple[int, ...], tuple[list[int], list[float]]]  # context: symbols, cumulative probabilities
    next_KK: np.ndarray  # [*context, symbol]: probabilities
    law_K: np.ndarray  # [*context]: stationary probabilities


@lru_cache(maxsize=4)
def _chain(seed: int, words: int, order: int, branching: int, entropy: float, end: float) -> Chain:
    import numpy as np

    rng = random.Random(f"{seed} source")
    names = _made_up(rng, words)
    weights = _zipf(branching, entropy)
    first = rng.sample(range(words), branching)
    following: dict[tuple[int, ...], tuple[list[int], list[float]]] = {}
    next_KK = np.zeros((words + 1,) * (order + 1))
    for context in product(range(words + 1), repeat=order):
        if context[-1] == words:  # a document begins, whatever the one before it was
            symbols, probabilities = first, weights
        else:
            symbols = [*rng.sample(range(words), branching), words]
            probabilities = [*((1 - end) * each for each in weights), end]
        next_KK[context][symbols] = probabilities
        following[context] = symbols, list(accumulate(probabilities))
    return Chain(names, following, next_KK, _stationary(next_KK))


def _stationary(next_KK: np.ndarray) -> np.ndarray:
    """The law of contexts that one more symbol leaves as it is; documents end, so there is only one."""
    import numpy as np

    law_K = np.zeros(next_KK.shape[:-1])
    law_K[(-1,) * law_K.ndim] = 1.0
    moved = 1.0
    while moved > 1e-14:
        after_K = np.einsum("i...,i...k->...k", law_K, next_KK)
        after_K /= after_K.sum()
        moved, law_K = np.abs(after_K - law_K).sum(), after_K
    return law_K


def _zipf(count: int, entropy: float) -> list[float]:
    """Probabilities proportional to rank ** -s, s such that they have this entropy, in nats."""
    low, high = 0.0, 1.0
    while _entropy(_powers(count, high)) > entropy:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _entropy(_powers(count, middle)) > entropy else (low, middle)
    return _powers(count, high)


def _powers(count: int, s: float) -> list[float]:
    powers = [rank**-s for rank in range(1, count + 1)]
    return [each / math.fsum(powers) for each in powers]


def _entropy(probabilities: list[float]) -> float:
    return -math.fsum(p * math.log(p) for p in probabilities if p > 0)


def _made_up(rng: random.Random, count: int) -> list[str]:
    """Different words that can be pronounced: 'drana', 'kou', 'plimstel'."""
    words: dict[str, None] = {}
    while len(words) < count:
        syllables = range(rng.choice((1, 2, 2, 3)))
        words["".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in syllables)] = None
    return list(words)
