"""How far does an axis reach? As far as may be believed: one diverged run does not flatten all others."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

FAR = 5.0  # times the spread of the lower half of the values, beyond it
BELIEVED = 1e100  # no value beyond is drawn
ROOM = 0.04  # of the span, left free at either end
WIDTHS = 1e6  # of an axis, beyond which nothing is given to a browser: no zoom comes there


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


def cut(figure: go.Figure) -> None:
    """What lies out of reach of an axis that has ends: a point is left out, and a bar is as long as WIDTHS.

    A browser has no such number: 1e168 pixels are an error in its console, and a mark in a wrong place.
    """
    axes = {name: each for name, each in figure.layout.to_plotly_json().items() if name[1:5] == "axis"}
    ends = {name[0] + name[5:]: each["range"] for name, each in axes.items() if _has_ends(each)}
    for trace in figure.data if ends else ():
        stored = trace.to_plotly_json()
        for name in ("x", "y"):
            if (axis := stored.get(f"{name}axis", name)) not in ends or name not in stored:
                continue
            low, high = ends[axis]
            far, values = WIDTHS * abs(high - low), np.asarray(trace[name])
            if values.dtype.kind in "fi" and (beyond := np.abs(values - low) > far).any():
                trace[name] = np.where(beyond, np.nan, values)
            for arm in {"array", "arrayminus"} & stored.get(f"error_{name}", {}).keys():
                lengths = np.asarray(trace[f"error_{name}"][arm], float)
                if (lengths > far).any():
                    trace[f"error_{name}"][arm] = np.minimum(lengths, far)


def _has_ends(axis: Mapping[str, Any]) -> bool:
    """As numbers of what is drawn: dates are not, nor are the exponents of a logarithm."""
    ends = axis.get("range") or (None,)
    return axis.get("type") != "log" and all(isinstance(end, int | float | np.number) for end in ends)
