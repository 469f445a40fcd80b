"""How has a search gone? The best so far, who was left at each rung, shares below a value. Numbers only.

Of results less is better. One that is not a number, or infinite, is no result.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Rung(NamedTuple):
    """A step at which somebody was ended early."""

    step: int
    came: int  # trials that got as far, those that ended elsewhere and at other rungs among them
    ended: int  # of them: here

    @property
    def left(self) -> int:
        return self.came - self.ended


def best_so_far(results: Sequence[float] | np.ndarray) -> np.ndarray:
    """The lowest result up to each; infinite before the first."""
    found = np.asarray(results, float)
    return np.minimum.accumulate(np.where(np.isfinite(found), found, np.inf))


def shares_below(results: Sequence[float] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(values, shares): which share of all is at most each value. What is no result is one of all."""
    found = np.asarray(results, float)
    values, counts = np.unique(found[np.isfinite(found)], return_counts=True)
    return values, np.cumsum(counts) / max(len(found), 1)


def rungs(reached: Sequence[int], ended_early: Sequence[bool]) -> list[Rung]:
    """In order of step. By trial: the last step that it came to, and whether it was ended early there."""
    step, early = np.asarray(reached, int), np.asarray(ended_early, bool)
    return [
        Rung(int(at), int(np.sum(step >= at)), int(np.sum(early & (step == at))))
        for at in np.unique(step[early])
    ]


def at_once(began: Sequence[float], ended: Sequence[float]) -> tuple[int, float]:
    """(most, mean): how many ran at one time, in the mean from the first's start to the last's end.

    One that ends where another begins has made room for it.
    """
    if not began:
        return 0, 0.0
    starts, ends = np.sort(np.asarray(began, float)), np.sort(np.asarray(ended, float))
    running = np.arange(1, len(starts) + 1) - np.searchsorted(ends, starts, side="right")
    span = ends[-1] - starts[0]
    return int(running.max()), float((ends.sum() - starts.sum()) / span) if span > 0 else float(len(starts))
