"""What is done to curves before they are drawn: smoothed, averaged over seeds, set on another axis."""

from collections.abc import Sequence

import numpy as np

from dashboard.figures.style import Line

MOST_POINTS = 2000  # of one curve
FAR = 100.0  # times a usual value: what has diverged, and would flatten all others


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


def usual_range(lines: Sequence[Line]) -> tuple[float, float] | None:
    """The lowest and highest value that is not far off; None where none is, and the axis finds its own."""
    finite = [y[np.isfinite(y)] for y in (np.asarray(line.y, float) for line in lines)]
    sizes = sorted(float(np.median(np.abs(y))) for y in finite if len(y))
    if not sizes:
        return None
    values = np.concatenate(finite)
    usual = np.abs(values) <= FAR * sizes[(len(sizes) - 1) // 2]
    if usual.all() or not usual.any():
        return None
    return float(values[usual].min()), float(values[usual].max())


def _at(line: Line, x: np.ndarray) -> np.ndarray:
    """Its values there; nan before its first and after its last."""
    own_x, own_y = np.asarray(line.x, float), np.asarray(line.y, float)
    return np.interp(x, own_x, own_y, left=np.nan, right=np.nan)
