"""Which parameters went along with the results? A share each, with its interval."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.style import BEST, GRID, REST, bars, calm, empty, plain
from sweeper.statistics.effects import Effect


def effects(found: Sequence[tuple[str, Effect]]) -> go.Figure:
    """(name, effect), drawn from the top. Grey and open: chance alone may have done as much."""
    if not found:
        return empty("Nothing can be told yet.")
    figure = go.Figure()
    for name, sure, colour in (("more than chance", True, BEST), ("perhaps chance", False, REST)):
        part = [(place, each) for place, (_, each) in enumerate(found) if (each.low > 0) == sure]
        if part:
            share, low, high = np.array([(each.share, each.low, each.high) for _, each in part]).T
            figure.add_scatter(
                x=share,
                y=[place for place, _ in part],
                error_x=bars(share, low, high, colour, 2.2),
                mode="markers",
                name=name,
                marker={"size": 11, "color": colour, "symbol": "circle" if sure else "circle-open"},
                customdata=[[each.low, each.high, each.results, each.groups] for _, each in part],
                hovertemplate="%{x:.0%} [%{customdata[0]:.0%}, %{customdata[1]:.0%}], "
                "%{customdata[2]} trials in %{customdata[3]} groups<extra></extra>",
            )
    figure.update_yaxes(
        tickvals=list(range(len(found))),
        ticktext=[plain(name, 50) for name, _ in found],
        range=[len(found) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
        automargin=True,
    )
    figure.update_xaxes(
        title="share of the order of results",
        gridcolor=GRID,
        tickformat=".0%",
        range=[-0.02, 1.02],
        zeroline=False,
    )
    return calm(figure, height=120 + 30 * len(found))
