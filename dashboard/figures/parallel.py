"""How does val_ppl go with all searched values at once? Parallel coordinates."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.style import empty, plain
from dashboard.values import is_number, missing

BLUES = ((0.0, "#2F74AD"), (0.5, "#5B95C6"), (1.0, "#9AA1AB"))  # low is good: strong
MOST_LINES = 500  # beyond it a plot is slow and unreadable


def parallel(rows: pd.DataFrame, names: Sequence[str], labels: Sequence[str]) -> go.Figure:
    """Searched values and val_ppl as parallel axes, at most MOST_LINES configurations, the best first.

    A configuration that lacks a value (a conditional one) passes through a place of its own below the axis.
    """
    rows = rows[np.isfinite(rows["val_ppl"].astype(float))].sort_values("val_ppl").head(MOST_LINES)
    if rows.empty or not names:
        return empty("No evaluated configuration yet.")
    ppl = rows["val_ppl"].to_numpy(float)
    axes = [_axis(rows[name], label) for name, label in zip(names, labels, strict=True)]
    axes.append({"label": "val_ppl", "values": ppl, "tickformat": ".4~g"})
    # The colour follows the rank's quantiles: one diverged run must not turn all others into one shade.
    shade = np.searchsorted(np.sort(ppl), ppl) / max(len(ppl) - 1, 1)
    figure = go.Figure(
        go.Parcoords(
            line={"color": shade[::-1], "colorscale": [list(stop) for stop in BLUES], "showscale": False},
            dimensions=[
                {**axis, "values": axis["values"][::-1]} for axis in axes
            ],  # the best is drawn last, on top
            labelfont={"size": 12},
            tickfont={"size": 11},
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
            labelangle=-12,
            labelside="top",
        )
    )
    figure.update_layout(height=460, margin={"l": 70, "r": 60, "t": 90, "b": 24})
    return figure


def _axis(values: pd.Series, name: str) -> dict:
    if is_number(values):
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
        present = numbers[np.isfinite(numbers)]
        low, high = float(present.min()), float(present.max())
        gap = (high - low or 1.0) * 0.15
        distinct = np.unique(present)
        ticks = distinct if len(distinct) <= 6 else np.linspace(low, high, 5)
        texts = [f"{tick:.3g}" for tick in ticks]
        if len(present) < len(numbers):
            numbers = np.where(np.isfinite(numbers), numbers, low - gap)
            ticks, texts = np.append(low - gap, ticks), ["none", *texts]
        return {"label": plain(name, 40), "values": numbers, "tickvals": list(ticks), "ticktext": texts}
    words = ["none" if missing(value) else str(value) for value in values]
    places = sorted(set(words), key=lambda word: (word != "none", word))
    return {
        "label": plain(name, 40),
        "values": np.array([places.index(word) for word in words], float),
        "tickvals": list(range(len(places))),
        "ticktext": [plain(place, 24) for place in places],
    }
