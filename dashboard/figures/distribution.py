"""Which share of a sweep's trials is at most so good? The empirical distribution of several sweeps."""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.axes import Axis
from dashboard.figures.states import MOST_MARKS
from dashboard.figures.style import COLOURS, GRID, calm, empty, named, plain
from sweeper.statistics.course import shares_below


def distribution(results: Mapping[str, Sequence[float]], label: str, axis: Axis) -> go.Figure:
    """results: by sweep; what is not finite is a trial without a result, which holds its line below 100%."""
    figure = go.Figure()
    for i, (name, values) in enumerate(results.items()):
        x, share = shares_below(values)
        if not len(x):
            continue
        keep = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_MARKS)).round().astype(int))
        seen = keep[x[keep] <= axis.high]
        figure.add_scattergl(
            x=np.concatenate([x[:1], x[seen], [axis.edge]]),  # from 0, and as far as is drawn
            y=np.concatenate([[0.0], share[seen], share[seen][-1:]]),
            mode="lines",
            line={"shape": "hv", "color": COLOURS[i % len(COLOURS)], "width": 2},
            name=plain(name, 40),
            hovertemplate=named("%{y:.0%} are at most %{x:.4g}", name),
        )
    if not figure.data:
        return empty("No complete trial yet.")
    figure.update_xaxes(title=label, gridcolor=GRID, zeroline=False, **axis.layout)
    figure.update_yaxes(
        title="share of complete trials", gridcolor=GRID, zeroline=False, tickformat=".0%", range=[0, 1.02]
    )
    return calm(figure, height=430, legend=len(figure.data) > 1)
