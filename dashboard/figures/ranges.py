"""How far does an axis reach? As far as may be believed: one diverged run does not flatten all others."""

from typing import NamedTuple

import numpy as np

FAR = 5.0  # times the distance between the quartiles, beyond them
ROOM = 0.04  # of the span, left free at either end


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


def span(values: np.ndarray, low: np.ndarray, high: np.ndarray, least: float = 0.0) -> Span | None:
    """Over the values that are not far out, and as much of their intervals as is not. None without any.

    least: what the distance between the quartiles is taken for at least, in the values' unit.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    first, third = np.percentile(finite, (25, 75))
    reach = FAR * max(third - first, least, 1e-3 * abs(first))
    near = finite[(finite >= first - reach) & (finite <= third + reach)]
    arms = np.concatenate([near, low, high])
    arms = arms[np.isfinite(arms) & (arms >= near.min() - reach) & (arms <= near.max() + reach)]
    room = ROOM * (arms.max() - arms.min()) or 1e-3 * abs(first) or 1.0
    return Span(arms.min() - room, arms.max() + room, len(values) - np.isnan(values).sum() - len(near))
