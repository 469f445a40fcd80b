"""Which figures show what schedule, clip and weight do? A line each of PANELS, and how one is drawn."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import curves
from dashboard.figures.style import Line
from dashboard.noise import NoiseShape


class Panel(NamedTuple):
    title: str
    words: str
    x: str
    y: str
    points: Callable[[NoiseShape], tuple[np.ndarray, np.ndarray]]
    log: bool = False


EMPHASIS = Panel(
    "What training emphasises",
    "Density of p times p · loss_scale · w. The NELBO is 1 at every masking rate: "
    "a schedule that is flat here changes the variance alone.",
    "masking rate p",
    "share of the objective",
    lambda shape: (shape.p, shape.emphasis),
)
RATES = Panel(
    "Rates drawn",
    "Density of p: how often training masks at each rate.",
    "masking rate p",
    "density",
    lambda shape: (shape.p, shape.density),
)
PANELS = (
    Panel(
        "Masking rate over time",
        "Move chance at the times that the clip lets through.",
        "t",
        "p(t)",
        lambda shape: (shape.t, shape.move_chance),
    ),
    RATES,
    Panel(
        "Loss scale",
        "p'/p, what the bound charges a masked token at time t.",
        "t",
        "loss_scale",
        lambda shape: (shape.t, shape.loss_scale),
        log=True,
    ),
    Panel(
        "Weight",
        "w, what the loss is multiplied by at each masking rate.",
        "masking rate p",
        "w",
        lambda shape: _by_rate(shape.move_chance, shape.weight),
    ),
)


def _by_rate(move_chance: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In order of the masking rate, which need not rise with t everywhere."""
    order = move_chance.argsort()
    return move_chance[order], weight[order]


def panel_figure(
    panel: Panel, shapes: Mapping[int, NoiseShape], labels: Mapping[int, str], legend: bool = False
) -> go.Figure:
    """shapes and labels: by configuration."""
    return curves.panel(_lines(panel, shapes, labels), panel.x, panel.y, panel.log, legend)


def panels_figure(
    panels: Sequence[Panel],
    shapes: Mapping[int, NoiseShape],
    labels: Mapping[int, str],
    legend: bool = False,
) -> go.Figure:
    """Two in a row, as `panel_figure`."""
    plots = [
        curves.Plot(_lines(each, shapes, labels), each.x, each.y, each.log, each.title, each.words)
        for each in panels
    ]
    return curves.pairs(plots, legend)


def _lines(panel: Panel, shapes: Mapping[int, NoiseShape], labels: Mapping[int, str]) -> list[Line]:
    return [Line(labels[each], each, *panel.points(shape)) for each, shape in shapes.items()]
