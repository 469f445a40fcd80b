"""Who did what, and when? A line a worker, a bar an attempt at a trial."""

import datetime

import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.states import MARKS, OTHER, by_state, hovers
from dashboard.figures.style import GRID, REST, calm, empty, plain

MOST_LANES = 40  # workers
FEW_BARS = 100  # beyond it their outlines would be most of what is seen


def timeline(bars: pd.DataFrame, lanes: list[str]) -> go.Figure:
    """Columns of bars: lane, state, began, ended (seconds since 1970), hover. lanes: from the top.

    A lane that is not among them is not drawn.
    """
    bars = bars[bars["lane"].isin(lanes)]
    if bars.empty:
        return empty("Nothing has run yet.")
    figure = go.Figure()
    places = {lane: place for place, lane in enumerate(lanes)}
    for state, part in by_state(bars):
        figure.add_bar(
            orientation="h",
            y=[places[lane] for lane in part["lane"]],
            base=[datetime.datetime.fromtimestamp(each) for each in part["began"]],
            x=(part["ended"] - part["began"]) * 1000,
            width=0.7,
            name=plain(state, 40),
            marker={
                "color": MARKS.get(state, OTHER)[1],
                "opacity": 0.85,
                "line": {"width": 1 if len(bars) <= FEW_BARS else 0, "color": REST},
                "pattern": {
                    "shape": {"failed": "x", "pruned": "/"}.get(state, ""),
                    "fillmode": "overlay",
                    "size": 6,
                },
            },
            **hovers(part),
        )
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(type="date", gridcolor=GRID)
    figure.update_yaxes(
        tickvals=list(places.values()),
        ticktext=[plain(lane, 30) for lane in lanes],
        range=[len(lanes) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    return calm(figure, height=max(260, 120 + 26 * len(lanes)))
