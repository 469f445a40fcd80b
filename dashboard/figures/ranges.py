"""How far does an axis reach? As far as may be believed: one diverged run does not flatten all others."""

from typing import NamedTuple

import numpy as np

FAR = 5.0  # times the spread of the lower half of the values, beyond it
BELIEVED = 1e100  # no value beyond is drawn
ROOM = 0.04  # of the span, left free at either end


class Plausible(NamedTuple):
    low: float
    high: float
    reach: float  # how far beyond the lower half each of them is


def plausible(values: np.ndarray, least: float = 0.0) -> Plausible:
    """The rule of every figure: between which ends a value is believed. values: one or more, all finite.

    What is low is good, and what diverges is high: the lower half says what is far. least: the spread of it
    that is taken for granted, in the values' unit.
    """
    first, middle = (float(each) for each in np.percentile(values, (25, 50), method="lower"))
    reach = FAR * max(2 * (middle - first), least)
    return Plausible(first - reach, middle + reach, reach)


class Span(NamedTuple):
    low: float
    high: float
    outside: int  # values beyond it, infinite ones among them

    @property
    def ends(self) -> list[float]:
        return [self.low, self.high]

    @property
    def words(self) -> str:
        """'; 2 outside', or nothing."""
        return f"; {self.outside} outside" if self.outside else ""


def span(values: np.ndarray, low: np.ndarray, high: np.ndarray, least: float) -> Span | None:
    """Over the values that are not far out, and as much of their intervals as is not. None without any."""
    believed = values[np.abs(values) < BELIEVED]
    if not len(believed):
        return None
    lowest, highest, reach = plausible(believed, least)
    near = believed[(believed >= lowest) & (believed <= highest)]
    arms = np.concatenate([near, low, high])
    arms = arms[(np.abs(arms) < BELIEVED) & (arms >= near.min() - reach) & (arms <= near.max() + reach)]
    width = float(arms.max() - arms.min()) or least  # one value alone: ticks as of its unit, not of nothing
    room = max(ROOM * width, 1e-6 * float(np.abs(near).max()), 1e-9)
    return Span(arms.min() - room, arms.max() + room, len(values) - int(np.isnan(values).sum()) - len(near))
