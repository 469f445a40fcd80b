"""Which parameters went along with the results? A bar each, with its interval."""

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.figures.style import BEST, GRID, REST, calm, empty, plain
from sweeper.statistics.effects import Effect


def effects(found: Sequence[tuple[str, Effect]]) -> go.Figure:
    """(name, effect), drawn from the top. Grey: chance alone may have done as much."""
    if not found:
        return empty("Nothing can be told yet.")
    figure = go.Figure()
    figure.add_bar(
        orientation="h",
        y=list(range(len(found))),
        x=[each.share for _, each in found],
        marker={"color": [BEST if each.low > 0 else REST for _, each in found], "opacity": 0.85},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [each.high - each.share for _, each in found],
            "arrayminus": [each.share - each.low for _, each in found],
            "color": "#8A9099",
            "thickness": 1.6,
            "width": 4,
        },
        customdata=[[each.low, each.high, each.results, each.groups] for _, each in found],
        hovertemplate="%{x:.0%} [%{customdata[0]:.0%}, %{customdata[1]:.0%}], %{customdata[2]} trials in "
        "%{customdata[3]} groups<extra></extra>",
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
        title="share of the order of results", gridcolor=GRID, tickformat=".0%", range=[0, 1], zeroline=False
    )
    return calm(figure, height=110 + 30 * len(found), legend=False)
