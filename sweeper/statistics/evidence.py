"""Is one configuration surely better than another, asked again and again?

Each ask has an interval of the paired difference d, in nats per token (below 0, the first is better), either
end of which is wrong with a chance of at most a level. Ask number n of a session, from 1, has the level

    a_n = a / (n (n + 1)) = a / n - a / (n + 1),     a = 0.05,

so that N asks have spent a (1 - 1 / (N + 1)): never more than a, however many there are. By the union bound
(alpha spending over asks; Bonferroni with unequal shares) at most a share a of sessions keeps anything that
is no improvement, whatever depends on whatever: the same rival in every ask, the same pair asked with more
seeds, asks chosen by what earlier ones answered. What it takes: asks are counted in order, each pair was
named before its own results were seen, and the intervals hold (differences.py)."""

from typing import Literal

import numpy as np

from sweeper.statistics.differences import Differences
from sweeper.statistics.quantiles import student

ALPHA = 0.05  # of sessions, at most, keep something false
MOST_SEEDS = 256  # that an outlook reaches to

Verdict = Literal["keep", "discard", "not enough evidence"]


def level(ask: int) -> float:
    """Error of each end of the interval; ask: its number in the session, from 1."""
    return ALPHA / (ask * (ask + 1))


def spent(asks: int) -> float:
    """By so many asks together."""
    return ALPHA * (1 - 1 / (asks + 1))


def confidence(ask: int) -> float:
    """Of the two-sided interval whose ends each have this ask's level."""
    return 1 - 2 * level(ask)


def verdict(low: float, high: float, margin: float = 0.0) -> Verdict:
    """keep: surely better. discard: surely not better by more than the margin, in nats per token.

    Surely better comes first: an improvement that is sure and small is kept."""
    if high < 0:
        return "keep"
    return "discard" if low >= -margin else "not enough evidence"


def more_seeds(found: Differences, margin: float, ask: int) -> int | None:
    """How many more both would have to run until this ask has an answer, if the difference and its spread
    stay as they are. None: no number up to MOST_SEEDS, as the error over text stays.

    found: of one pair with two common seeds or more. An outlook, no bound."""
    sure = confidence(ask)
    seeds, degrees = int(found.shared_CK[0, 0]), float(found.degrees_CK[0, 0])
    mean = float(found.mean_CK[0, 0])
    spread = float(found.seeds_CK[0, 0]) * seeds**0.5  # of the difference on one seed
    text = student(found.text_degrees, sure) * float(found.text_CK[0, 0])
    for more in range(1, MOST_SEEDS - seeds + 1):
        half = np.hypot(student(degrees + more, sure) * spread / (seeds + more) ** 0.5, text)
        if verdict(mean - half, mean + half, margin) != "not enough evidence":
            return more
    return None
