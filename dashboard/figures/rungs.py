"""Who was left at each step at which trials were ended early?"""

from collections.abc import Sequence

import plotly.graph_objects as go

from dashboard.figures.style import BEST, GRID, REST, calm, empty
from sweeper.statistics.course import Rung


def rungs(found: Sequence[Rung]) -> go.Figure:
    """A bar a rung: those that went on, and those that were ended there. Steps are of the fine-tune."""
    if not found:
        return empty("No trial has been pruned.")
    figure = go.Figure()
    places = [f"{rung.step:,}" for rung in found]
    for name, counts, colour in (
        ("went on", [rung.left for rung in found], BEST),
        ("pruned", [rung.ended for rung in found], REST),
    ):
        figure.add_bar(
            x=places,
            y=counts,
            name=name,
            marker={"color": colour},
            text=counts,
            textposition="inside",
            width=min(0.6, 0.15 * len(found)),
            hovertemplate=f"%{{y}} {name} at step %{{x}}<extra></extra>",
        )
    figure.update_layout(barmode="stack")
    figure.update_xaxes(title="step of the fine-tune", type="category", showgrid=False)
    figure.update_yaxes(title="trials that came so far", gridcolor=GRID, zeroline=False)
    return calm(figure, height=400)
