"""What did the search find, and when? Trials in order, with the best so far."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.axes import Axis
from dashboard.figures.states import by_state, hovers, mark, thinned
from dashboard.figures.style import BEST, GRID, calm, empty
from sweeper.statistics.course import best_so_far


def history(runs: pd.DataFrame, label: str, axis: Axis) -> go.Figure:
    """Columns: called, value, state, hover. The best so far is of complete trials alone: a pruned one's value
    is of fewer steps, a failed one's of a run that cannot be trusted."""
    if runs.empty:
        return empty("No trial yet.")
    figure = go.Figure()
    best = best_so_far(np.where(runs["state"] == "complete", runs["value"], np.nan))
    shown = np.isfinite(best)
    steps = shown & (np.r_[True, best[1:] != best[:-1]] | (np.arange(len(best)) == len(best) - 1))
    figure.add_scatter(
        x=runs["called"][steps],
        y=axis.placed(best[steps]),
        mode="lines",
        line={"shape": "hv", "color": BEST, "width": 2},
        name="best so far",
        hovertemplate="best so far %{y:.4g}<extra></extra>",
    )
    for state, part in by_state(thinned(runs, "value")):
        figure.add_scattergl(
            x=part["called"],
            y=axis.placed(part["value"].to_numpy(float)),
            mode="markers",
            name=state,
            marker=mark(state),
            **hovers(part),
        )
    figure.update_xaxes(title="trial", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title=label, gridcolor=GRID, zeroline=False, **axis.layout)
    return calm(figure, height=460)
