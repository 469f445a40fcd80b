"""What is done to curves before they are drawn: smoothed, averaged over seeds, set on another axis."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dashboard.figures.ranges import plausible
from dashboard.figures.style import Line

MOST_POINTS = 2000  # of one curve
DIVERGED, PRETRAIN = "what diverged", "the pretrain"  # off an axis
BEGINS_AT = 20.0  # times its usual value, a curve may lie without having diverged; and as far again


def smoothed(line: Line, weight: float) -> Line:
    """The exponential mean of a curve, from 0 (as it is) to below 1; corrected for its beginning at 0.

    A value that is not finite is left out of it, and stays a gap.
    """
    y = np.asarray(line.y, float)
    if not weight:
        return line
    mean, total, out = 0.0, 0.0, np.full(len(y), np.nan)
    for i, value in enumerate(y):
        if np.isfinite(value):
            mean, total = weight * mean + (1 - weight) * value, weight * total + 1 - weight
            out[i] = mean / total
    return line._replace(y=out)


def averaged(lines: Sequence[Line], label: str) -> Line:
    """The mean of one group's curves, in a band from its lowest to its highest.

    At each x it is of those that have come so far; between two points of its own a curve is straight.
    """
    known = [line for line in lines if len(line.x)]
    x = np.unique(np.concatenate([np.asarray(line.x, float) for line in known]))
    y_LX = np.stack([_at(line, x) for line in known])
    there_X = np.isfinite(y_LX).any(axis=0)
    x, y_LX = x[there_X], y_LX[:, there_X]
    mean = np.nanmean(y_LX, axis=0) if len(x) else x
    low, high = (np.nanmin(y_LX, axis=0), np.nanmax(y_LX, axis=0)) if len(x) else (x, x)
    return Line(label, known[0].group, x, mean, low, high)


def along(line: Line, x_of_step: Sequence[tuple[int, float]], until: int | None = None) -> Line:
    """The same over what else grows with the steps: (step, tokens), say. Empty where nothing of it is known.

    until: the step that is 0 on that axis, where what follows begins; at its pace, if it has yet to come.
    """
    if not x_of_step:
        return line._replace(x=[], y=[])
    steps, grown = np.asarray(x_of_step, float).T
    ahead = 0.0 if until is None else grown[-1] * until / steps[-1]
    return line._replace(x=np.interp(np.asarray(line.x, float), steps, grown) - ahead)


def thinned(line: Line) -> Line:
    """At most so many points as are drawn, evenly; the last stays."""
    stride = -(-len(line.x) // MOST_POINTS)
    if stride <= 1:
        return line
    kept = slice((len(line.x) - 1) % stride, None, stride)
    low, high = (None if end is None else np.asarray(end)[kept] for end in (line.low, line.high))
    return Line(line.label, line.group, np.asarray(line.x)[kept], np.asarray(line.y)[kept], low, high)


class Seen(NamedTuple):
    """An axis of values, where it does not find its own."""

    low: float
    high: float
    off: Sequence[str]  # what is beyond, in words


def seen(lines: Sequence[Line], window: tuple[float, float] | None = None) -> Seen | None:
    """The runs' values, without what has diverged, and of pretrains (groups below 0) what lies no farther
    from these than they reach. window: of x, that is shown. None: nothing is off, and all is shown."""
    values = [_within(line, window) for line in lines]
    runs = [y for line, y in zip(lines, values, strict=True) if line.group >= 0 and len(y)]
    others = [y for line, y in zip(lines, values, strict=True) if line.group < 0 and len(y)]
    if not runs:
        runs, others = others, []
    if not runs:
        return None
    usual = np.array([np.median(y) for y in runs])
    of = plausible(usual, BEGINS_AT * float(np.percentile(np.abs(usual), 50, method="lower")))
    near = [y[(y >= of.low) & (y <= of.high)] for y in runs]
    kept = np.concatenate(near) if any(len(y) for y in near) else np.concatenate(runs)
    low, high = float(kept.min()), float(kept.max())
    width = (high - low) or abs(high)
    before = np.concatenate(others or [np.empty(0)])
    also = before[(before >= low - width) & (before <= high + width)]
    off = [DIVERGED] if len(kept) < sum(map(len, runs)) else []
    off += [PRETRAIN] if len(also) < len(before) else []
    if not off and window is None:
        return None
    return Seen(min([low, *also]), max([high, *also]), off)


def finetune_window(lines: Sequence[Line], start: float) -> tuple[float, float] | None:
    """Of x: what follows the start, and as much before it; None where there is no more before it."""
    ends = [max(line.x) for line in lines if line.group >= 0 and len(line.x)]
    begins = [min(line.x) for line in lines if len(line.x)]
    if not ends or max(ends) <= start or 2 * start - max(ends) <= min(begins):
        return None
    return 2 * start - max(ends), max(ends)


def _within(line: Line, window: tuple[float, float] | None) -> np.ndarray:
    """Its finite values there."""
    x, y = np.asarray(line.x, float), np.asarray(line.y, float)
    there = np.isfinite(y)
    if window is not None:
        there &= (x >= window[0]) & (x <= window[1])
    return y[there]


def _at(line: Line, x: np.ndarray) -> np.ndarray:
    """Its values there; nan before its first and after its last."""
    own_x, own_y = np.asarray(line.x, float), np.asarray(line.y, float)
    return np.interp(x, own_x, own_y, left=np.nan, right=np.nan)
