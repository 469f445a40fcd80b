"""What all figures share: colours, and how a stored string becomes text that Plotly cannot read as markup."""

import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

INK, BEST, TIED, REST, GRID = "#1D2731", "#245E8C", "#86AECB", "#B9C1CA", "#E9EDF1"
COLOURS = ("#245E8C", "#C9762B", "#3B8A6E", "#9B4A6B", "#6A63A6", "#8C7A2F", "#4B9CC2", "#77808A")
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


def plain(text: object, most: int = 80) -> str:
    """A stored value as text that Plotly cannot read as markup (it renders <a>, <b> and entities)."""
    words = str(text)
    return html.escape(words if len(words) <= most else words[: most - 1] + "…")


def hover_lines(text: str) -> str:
    return "<br>".join(plain(line) for line in text.splitlines()[:24])


def named(template: str, label: str) -> str:
    """A line's hover text, with its name beside it."""
    return f"{template}<extra>{plain(label, 60).replace('%', '&#37;')}</extra>"


def empty(sentence: str, height: int = 240) -> go.Figure:
    figure = go.Figure().add_annotation(
        text=plain(sentence, 200), showarrow=False, font={"size": 14, "color": "#5B6875"}
    )
    figure.update_layout(
        xaxis_visible=False, yaxis_visible=False, height=height, margin={"l": 0, "r": 0, "t": 0, "b": 0}
    )
    return figure


def bars(value: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, width: float = 1.6) -> dict:
    """Asymmetric error bars; none where an interval is not known."""
    up, down = (np.where(np.isfinite(arm), arm, np.nan) for arm in (high - value, value - low))
    bars = {"type": "data", "symmetric": False, "array": up, "arrayminus": down}
    return {**bars, "color": colour, "thickness": width, "width": 3}


def calm(figure: go.Figure, height: int, legend: bool = True) -> go.Figure:
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
        plot_bgcolor="white",
        paper_bgcolor="white",
        uirevision="keep",  # zoom and hidden lines survive a live redraw
    )
    return figure
