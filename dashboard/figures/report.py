"""How far are ours from the printed numbers? A line each, by its word."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.style import BAD, COLOURS, GRID, REST, bars, calm, empty, places, plain
from sweeper.results.report import DIFFERS, REPRODUCED, UNTOLD

COLOUR = {REPRODUCED: COLOURS[2], DIFFERS: BAD, UNTOLD: COLOURS[1]}
SYMBOL = {REPRODUCED: "circle", DIFFERS: "x", UNTOLD: "circle-open"}  # told apart without colour, too
CLOSE = "rgba(53, 137, 106, 0.12)"


class Compared(NamedTuple):
    label: str
    ratio: float  # ours over the printed one
    low: float  # 95%; NaN: one seed
    high: float
    word: str


def against_printed(rows: Sequence[Compared]) -> go.Figure:
    """1 is the printed number; shaded what is within 10% of it."""
    if not rows:
        return empty("No number has been run yet.")
    figure = go.Figure()
    figure.add_vrect(x0=1 / 1.1, x1=1.1, fillcolor=CLOSE, line_width=0, layer="below")
    figure.add_vline(x=1, line={"color": REST, "width": 1, "dash": "dot"}, layer="below")
    for word in dict.fromkeys(each.word for each in rows):
        mine = [place for place, each in enumerate(rows) if each.word == word]
        value, low, high = (
            np.array([getattr(rows[place], name) for place in mine], float)
            for name in ("ratio", "low", "high")
        )
        colour = COLOUR.get(word, REST)
        figure.add_scatter(
            x=value,
            y=mine,
            error_x=bars(value, low, high, colour),
            mode="markers",
            name=plain(word),
            marker={"size": 9, "color": colour, "symbol": SYMBOL.get(word, "circle")},
            customdata=[plain(rows[place].label) for place in mine],
            hovertemplate="%{customdata}: %{x:.3f} of the printed one<extra></extra>",
        )
    places(figure, [each.label for each in rows])
    figure.update_xaxes(title="ours over the printed one, 95% interval", gridcolor=GRID, zeroline=False)
    return calm(figure, height=100 + 24 * len(rows))
