"""Interpolated Kneser-Ney, token by token and from dictionaries: Chen & Goodman 1999, equation 21, one
discount an order."""

from collections import Counter
from itertools import pairwise


class KneserNey:
    """Of two and of three tokens. BOS, which each sequence begins with, stands twice before it."""

    def __init__(self, sequences: list[list[int]], vocab_size: int):
        self.vocab_size = vocab_size
        self.trigrams = Counter(
            (u, v, x) for row in sequences for u, v, x in zip([row[0], *row], row, row[1:], strict=False)
        )
        self.bigrams = Counter((v, x) for row in sequences for v, x in pairwise(row))
        # What stands before an n-gram, counted once however often it does.
        self.bigrams_continued = Counter((v, x) for _, v, x in self.trigrams)
        self.unigrams_continued = Counter((x,) for _, x in self.bigrams)

    def bigram(self, v: int, x: int) -> float:
        return interpolated(self.bigrams, (v,), x, self.unigram(x))

    def trigram(self, u: int, v: int, x: int) -> float:
        shorter = interpolated(self.bigrams_continued, (v,), x, self.unigram(x))
        return interpolated(self.trigrams, (u, v), x, shorter)

    def unigram(self, x: int) -> float:
        return interpolated(self.unigrams_continued, (), x, 1 / self.vocab_size)


def interpolated(counts: Counter[tuple[int, ...]], context: tuple[int, ...], x: int, shorter: float) -> float:
    following = {gram: count for gram, count in counts.items() if gram[:-1] == context}
    total = sum(following.values())
    if not total:
        return shorter
    once, twice = (sum(count == n for count in counts.values()) for n in (1, 2))
    discount = once / (once + 2 * twice) if once else 0.5
    kept = max(following.get((*context, x), 0) - discount, 0)
    return (kept + discount * len(following) * shorter) / total
