"""Lines: how a metric went over steps, and what a noise schedule does at each masking rate."""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.style import COLOURS, GRID, REST, Line, calm, empty, named, plain

MOST_POINTS = 2000  # of one curve


def curves(
    lines: Sequence[Line], label: str, unit: str = "", log: bool = False, start: int | None = None
) -> go.Figure:
    """A metric over steps. `start`: where the finetune phase begins, marked by a thin line."""
    if not any(len(line.x) for line in lines):
        return empty(f"No {label} stored for what is chosen.")
    figure = go.Figure()
    groups = list(dict.fromkeys(line.group for line in lines))
    drawn: dict[int, int] = {}
    for line in lines:
        colour = COLOURS[groups.index(line.group) % len(COLOURS)]
        dash = ("solid", "dot", "dash", "dashdot", "longdash")[drawn.setdefault(line.group, 0) % 5]
        drawn[line.group] += 1
        figure.add_scatter(
            x=np.asarray(line.x)[-MOST_POINTS:],
            y=np.asarray(line.y, float)[-MOST_POINTS:],
            mode="lines+markers" if len(line.x) <= 40 else "lines",
            name=plain(line.label, 60),
            line={"color": colour, "width": 2, "dash": dash},
            marker={"size": 5 if len(line.x) > 1 else 9},
            hovertemplate=named("step %{x:,}: %{y:.5g}", line.label),
        )
    if start:
        figure.add_vline(x=start, line={"color": REST, "width": 1, "dash": "dash"})
        figure.add_annotation(
            x=start,
            y=1,
            yref="paper",
            text=" finetune",
            xanchor="left",
            showarrow=False,
            font={"size": 11},
        )
    figure.update_xaxes(title="step", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(
        title=plain(f"{label}, {unit}" if unit else label),
        gridcolor=GRID,
        zeroline=False,
        type="log" if log else "linear",
    )
    return calm(figure, height=340, legend=len(lines) > 1)


def panel(lines: Sequence[Line], x: str, y: str, log: bool = False, legend: bool = False) -> go.Figure:
    """A small line plot of a schedule's property."""
    figure = go.Figure()
    groups = list(dict.fromkeys(line.group for line in lines))
    for line in lines:
        y_values = np.asarray(line.y, float)
        figure.add_scatter(
            x=np.asarray(line.x, float),
            y=np.where(np.isfinite(y_values), y_values, np.nan),
            mode="lines",
            name=plain(line.label, 60),
            line={"color": COLOURS[groups.index(line.group) % len(COLOURS)], "width": 2},
            hovertemplate=named("%{x:.3f}: %{y:.4g}", line.label),
        )
    figure.update_xaxes(title=x, range=[-0.02, 1.02], gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title=y, gridcolor=GRID, zeroline=False, type="log" if log else "linear")
    figure.update_yaxes(rangemode="tozero")  # or a flat density's last digits would fill the plot
    return calm(figure, height=300, legend=legend)
