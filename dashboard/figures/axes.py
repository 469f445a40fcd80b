"""Where does an axis end, so that one value gone wild does not press all others flat?"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dashboard.figures.ranges import plausible

MOST_CUT = 0.1  # of the values, at the most; of few values one
WIDER = 2.0  # times as wide as without them, the axis must be for values to be cut off


class Axis(NamedTuple):
    """Of results of which less is better: the low end shows all, the high end most."""

    low: float
    high: float
    log: bool
    above: int = 0  # finite values beyond `high`
    largest: float = np.nan

    @property
    def edge(self) -> float:
        """Where a mark stands whose value is above, or not there at all."""
        return self._at(1.06)

    @property
    def range(self) -> list[float]:
        """As Plotly wants it: of a logarithmic axis the exponents."""
        ends = self._at(-0.06), self._at(1.12)
        return [float(np.log10(end)) if self.log else float(end) for end in ends]

    @property
    def layout(self) -> dict:
        return {"type": "log" if self.log else "linear", "range": self.range}

    def placed(self, values: np.ndarray) -> np.ndarray:
        """The values, at the edge where they are above, infinite or missing."""
        return np.where(np.isfinite(values) & (values <= self.high), values, self.edge)

    def words(self, what: str = "values", edge: str = "upper") -> str:
        """'3 of the values are higher than is drawn, up to 1.2e+09: they stand at the ...'. Or nothing."""
        if not self.above:
            return ""
        one = self.above == 1
        many = f"1 of the {what} is" if one else f"{self.above:,} of the {what} are"
        stands = "it stands" if one else "they stand"
        return f"{many} higher than is drawn, up to {self.largest:.4g}: {stands} at the {edge} edge."

    def _at(self, share: float) -> float:
        low, high = (np.log10((self.low, self.high))) if self.log else (self.low, self.high)
        width = (high - low) or (0.01 if self.log else abs(high) * 0.05 or 1.0)
        at = low + share * width
        return float(10**at if self.log else at)


def robust(values: Sequence[float] | np.ndarray, log: bool = False) -> Axis:
    """The axis for these, from 0 to 1 where there are none. Not logarithmic where one is not positive."""
    found = np.asarray(values, float)
    found = found[np.isfinite(found)]
    if not len(found):
        return Axis(0.0, 1.0, log=False)
    log = log and bool(found.min() > 0)
    limit = max(plausible(found).high, np.quantile(found, 1 - MOST_CUT, method="lower"))
    inside = found[found <= limit]
    if _width(found, log) <= WIDER * _width(inside, log):
        inside = found
    above = len(found) - len(inside)
    return Axis(float(inside.min()), float(inside.max()), log, above, float(found.max()))


def _width(values: np.ndarray, log: bool) -> float:
    return float(np.ptp(np.log10(values) if log else values))


def joint(groups: Iterable[Sequence[float] | np.ndarray], log: bool = False) -> Axis:
    """One axis on which most of every group is seen, however far they lie apart."""
    found = [each[np.isfinite(each)] for each in (np.asarray(group, float) for group in groups)]
    found = [each for each in found if len(each)]
    if not found:
        return robust([], log)
    axes = [robust(each, log) for each in found]
    low, high = min(axis.low for axis in axes), max(axis.high for axis in axes)
    above = sum(int(np.sum(each > high)) for each in found)
    return Axis(low, high, log and low > 0, above, max(float(each.max()) for each in found))


def may_be_log(values: Sequence[float] | np.ndarray) -> bool:
    """Whether all there are are positive, and they are not all one."""
    found = np.asarray(values, float)
    found = found[np.isfinite(found)]
    return len(found) > 0 and bool(found.min() > 0) and bool(found.max() > found.min())
