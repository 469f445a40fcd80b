"""What all figures share: colours, and how a stored string becomes text that Plotly cannot read as markup."""

import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.ranges import cut

# Of marks: each stands out from a light and from a dark background, so a figure is drawn once for both. What
# a theme decides (ground, words, grid) is left to it.
BEST, TIED, REST = "#2F74AD", "#5B95C6", "#8A9099"
COLOURS = ("#2F74AD", "#CC6F22", "#35896A", "#B0557F", "#7B73C2", "#8C7A2F", "#2A8FB3", "#858B94")
BAD = "#C2414B"  # failed, diverged
GRID = "rgba(128, 138, 150, 0.22)"
CLEAR = "rgba(0, 0, 0, 0)"
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}  # Plotly's toolbar


class Line(NamedTuple):
    """One curve. `group` decides its colour, so that the seeds of a configuration look alike."""

    label: str
    group: int
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray
    low: np.ndarray | None = None  # of a mean over seeds: the band about it
    high: np.ndarray | None = None
    of: str = ""  # what its group is called, where it is not named by itself


def plain(text: object, most: int = 80) -> str:
    """A stored value as text that Plotly cannot read as markup (it renders <a>, <b> and entities)."""
    words = str(text)
    return html.escape(words if len(words) <= most else words[: most - 1] + "…")


def hover_lines(text: object) -> str:
    return "<br>".join(plain(line) for line in str(text).splitlines()[:24])


def named(template: str, label: str) -> str:
    """A line's hover text, with its name beside it."""
    return f"{template}<extra>{plain(label, 60).replace('%', '&#37;')}</extra>"


def empty(sentence: str, height: int = 240) -> go.Figure:
    figure = go.Figure().add_annotation(text=plain(sentence, 200), showarrow=False, font={"size": 14})
    figure.update_layout(
        xaxis_visible=False, yaxis_visible=False, height=height, margin={"l": 0, "r": 0, "t": 0, "b": 0}
    )
    return figure


def bars(value: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, width: float = 1.6) -> dict:
    """Asymmetric error bars; none where an interval is not known."""
    up, down = (np.where(np.isfinite(arm), arm, np.nan) for arm in (high - value, value - low))
    bars = {"type": "data", "symmetric": False, "array": up, "arrayminus": down}
    return {**bars, "color": colour, "thickness": width, "width": 3}


def places(figure: go.Figure, labels: Sequence[object]) -> None:
    """A line of the figure for each label, from the top; labels may be equal."""
    figure.update_yaxes(
        tickvals=np.arange(len(labels)),
        ticktext=[plain(label, 60) for label in labels],
        range=[len(labels) - 0.4, -0.6],
        zeroline=False,
        tickfont={"size": 12},
        showgrid=False,
        automargin=True,
        ticksuffix="  ",
        tickcolor=CLEAR,
    )


def calm(figure: go.Figure, height: int, legend: bool = True) -> go.Figure:
    """The last that is done to a figure: its axes know their ends."""
    cut(figure)
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 12, "t": 36 if legend else 12, "b": 8},
        showlegend=legend,
        legend={
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.0,
            "xanchor": "left",
            "x": 0,
            "font": {"size": 12},
        },
        hoverlabel={"align": "left"},
        plot_bgcolor=CLEAR,
        paper_bgcolor=CLEAR,
        uirevision="keep",  # zoom and hidden lines survive a live redraw
    )
    return figure
