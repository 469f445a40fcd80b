"""What schedule, clip and weight do: the masking rates drawn, what each is charged, what is emphasised."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import streamlit as st

from dashboard import data, words
from dashboard.chart import chart
from dashboard.figures import curves
from dashboard.figures.style import Line
from dashboard.noise import NoiseShape, UnknownNoise, noise_shape

FIRST = 4  # configurations shown before anybody chooses


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
PANELS = (
    Panel(
        "Masking rate over time",
        "Move chance at the times that the clip lets through.",
        "t",
        "p(t)",
        lambda shape: (shape.t, shape.move_chance),
    ),
    Panel(
        "Rates drawn",
        "Density of p: how often training masks at each rate.",
        "masking rate p",
        "density",
        lambda shape: (shape.p, shape.density),
    ),
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
        lambda shape: by_rate(shape.move_chance, shape.weight),
    ),
)


def by_rate(move_chance: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In order of the masking rate, which need not rise with t everywhere."""
    order = move_chance.argsort()
    return move_chance[order], weight[order]


def schedules_page() -> None:
    now = data.chosen()
    st.header("Schedules", anchor=False)
    st.text(
        "The finetune phase's noise as each configuration has it. "
        "It shapes training alone: val_ppl is measured in the same way for all."
    )
    labels = words.configuration_labels(now.frame)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.multiselect(
            "Configurations",
            list(labels),
            default=list(labels)[:FIRST],
            format_func=lambda configuration: labels[configuration],
            key=f"configurations-{now.sweep.id}",
            max_selections=12,
            persist_state="session",
        )
        progress = st.slider(
            "Training progress",
            0.0,
            1.0,
            1.0,
            0.05,
            key="progress",
            width=240,
            persist_state="session",
            help="Moves bimodal_gaussian's second mode.",
        )
    shapes: dict[int, NoiseShape] = {}
    for configuration in chosen:
        try:
            shapes[configuration] = noise_shape(now.values[configuration], progress)
        except UnknownNoise as error:
            st.text(f"Configuration {configuration} was stored by another version of the trainer: {error}")
    if not shapes:
        st.text("Choose a configuration.")
        return
    st.subheader(EMPHASIS.title, anchor=False)
    st.caption(EMPHASIS.words)
    draw(EMPHASIS, shapes, labels, legend=True)
    for pair in (PANELS[:2], PANELS[2:]):
        for column, panel in zip(st.columns(2, gap="medium"), pair, strict=True):
            with column:
                st.subheader(panel.title, anchor=False)
                st.caption(panel.words)
                draw(panel, shapes, labels)


def draw(panel: Panel, shapes: dict[int, NoiseShape], labels: dict[int, str], legend: bool = False) -> None:
    lines = [Line(labels[each], each, *panel.points(shape)) for each, shape in shapes.items()]
    figure = curves.panel(lines, panel.x, panel.y, panel.log, legend)
    chart(figure, key=panel.title, alt=f"{panel.title}: {panel.words}")


schedules_page()
