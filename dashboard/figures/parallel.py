"""How does val_ppl go with all searched values at once? Parallel coordinates."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.brush import Brush, Span, word
from dashboard.figures.axes import may_be_log, robust
from dashboard.figures.style import empty, plain
from dashboard.values import is_number

BLUES = ((0.0, "#2F74AD"), (0.5, "#5B95C6"), (1.0, "#9AA1AB"))  # low is good: strong
LINES = tuple((1 - place, colour) for place, colour in reversed(BLUES))  # Plotly draws what is high on top
UNSEEN = "\u200b\u200c"  # of no width: digits of a number that is not seen
MOST_LINES = 500  # beyond it a plot is slow and unreadable


def parallel(
    rows: pd.DataFrame,
    names: Sequence[str],
    labels: Sequence[str],
    brushes: Mapping[str, Brush] = MappingProxyType({}),
    log: Collection[str] = (),
) -> go.Figure:
    """Searched values and val_ppl as parallel axes, at most MOST_LINES configurations, the best first.

    A configuration that lacks a value (a conditional one) passes through a place of its own below the axis.
    brushes: what is kept of an axis, by name or 'val_ppl'. log: names of logarithmic axes.
    """
    rows = rows[np.isfinite(rows["val_ppl"].astype(float))].sort_values("val_ppl").head(MOST_LINES)
    if rows.empty or not names:
        return empty("No evaluated configuration yet.")
    ppl = rows["val_ppl"].to_numpy(float)
    axes = [
        _axis(rows[name], label, brushes.get(name), name in log)
        for name, label in zip(names, labels, strict=True)
    ]
    end = robust(ppl)
    axes.append(
        _axis(pd.Series(np.minimum(ppl, end.edge)), "val_ppl", brushes.get("val_ppl"), "val_ppl" in log)
    )
    # The colour follows the rank's quantiles: one diverged run must not turn all others into one shade.
    shade = np.searchsorted(np.sort(ppl), ppl) / max(len(ppl) - 1, 1)
    figure = go.Figure(
        go.Parcoords(
            line={"color": 1 - shade, "colorscale": [list(stop) for stop in LINES], "showscale": False},
            dimensions=axes,
            labelfont={"size": 12},
            tickfont={"size": 11},
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
            labelangle=-12,
            labelside="top",
        )
    )
    figure.update_layout(height=460, margin={"l": 70, "r": 60, "t": 90, "b": 24})
    return figure


def _axis(values: pd.Series, name: str, brush: Brush | None, log: bool) -> dict:
    if is_number(values):
        return _number_axis(pd.to_numeric(values, errors="coerce").to_numpy(float), name, brush, log)
    words = [word(value) for value in values]
    places = sorted(set(words), key=lambda word: (word != "none", word))
    kept = None if brush is None or isinstance(brush, Span) else brush.kept
    return {
        "label": plain(name, 40),
        "values": np.array([places.index(word) for word in words], float),
        "tickvals": list(range(len(places))),
        "ticktext": [plain(place, 24) for place in places],
        **({"range": [-0.5, 0.5]} if len(places) == 1 else {}),
        **_kept([[i - 0.3, i + 0.3] for i, place in enumerate(places) if place in kept] if kept else None),
    }


def _number_axis(numbers: np.ndarray, name: str, brush: Brush | None, log: bool) -> dict:
    """Every value is a tick, most of them without words: Plotly moves the ends of what is kept to ticks."""
    there = np.isfinite(numbers)
    log = log and may_be_log(numbers)
    values = np.where(there, np.log10(numbers, where=there, out=numbers.copy()) if log else numbers, np.nan)
    ticks = np.unique(values[there])
    width = float(np.ptp(ticks)) or 1.0
    if len(ticks) <= 6:
        worded = dict.fromkeys(ticks.tolist())
    else:  # the ticks nearest to five even places
        worded = dict.fromkeys(
            float(ticks[np.argmin(np.abs(ticks - at))]) for at in np.linspace(ticks[0], ticks[-1], 5)
        )
    texts = [
        (f"{10**tick if log else tick:.3g}" if tick in worded else "") + _unseen(i)
        for i, tick in enumerate(ticks.tolist())
    ]
    kept = None
    if isinstance(brush, Span):
        inside = values[brush.keeps(pd.Series(numbers))]
        kept = [[float(inside.min()), float(inside.max())]] if len(inside) else None
    if not there.all():
        place = float(ticks[0]) - 0.15 * width
        values = np.where(there, values, place)
        ticks, texts = np.append(place, ticks), ["none", *texts]
    return {
        "label": plain(name, 40),
        "values": values,
        "tickvals": ticks.tolist(),
        "ticktext": texts,
        **_kept(kept),
    }


def _unseen(number: int) -> str:
    """Plotly knows a tick by its words, so no two may have the same."""
    return "".join(UNSEEN[int(digit)] for digit in f"{number:b}")


def _kept(ranges: list[list[float]] | None) -> dict:
    """Plotly greys out what lies outside."""
    if not ranges:
        return {}
    return {"constraintrange": ranges[0] if len(ranges) == 1 else ranges, "multiselect": True}
