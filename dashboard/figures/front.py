"""What is to be had of two metrics at once? Configurations, and the front that none of them beats."""

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.axes import Axis
from dashboard.figures.states import by_state, hovers, mark, thinned
from dashboard.figures.style import BEST, COLOURS, GRID, calm, empty


def front(points: pd.DataFrame, labels: tuple[str, str], across: Axis, up: Axis) -> go.Figure:
    """Columns of points: x, y, on_front, state, hover. Less is better in both.

    The line is what can be had: above it and to its right, something on the front is as good in both.
    """
    if points.empty:
        return empty("No configuration has both metrics.")
    figure = go.Figure()
    best = points[points["on_front"]].sort_values(["x", "y"])
    figure.add_scatter(
        x=across.placed(best["x"].to_numpy(float)),
        y=up.placed(best["y"].to_numpy(float)),
        mode="lines+markers",
        line={"shape": "hv", "color": COLOURS[1], "width": 2},
        marker={"size": 14, "symbol": "circle-open", "color": COLOURS[1], "line": {"width": 2}},
        name="front",
        hoverinfo="skip",
    )
    for state, part in by_state(pd.concat([best, thinned(points[~points["on_front"]], "y")])):
        figure.add_scattergl(
            x=across.placed(part["x"].to_numpy(float)),
            y=up.placed(part["y"].to_numpy(float)),
            mode="markers",
            name=state,
            marker=mark(state, BEST if state == "complete" else None),
            **hovers(part),
        )
    figure.update_xaxes(title=labels[0], gridcolor=GRID, zeroline=False, **across.layout)
    figure.update_yaxes(title=labels[1], gridcolor=GRID, zeroline=False, **up.layout)
    return calm(figure, height=480)
