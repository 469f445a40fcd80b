"""What schedule, clip and weight do: the masking rates drawn, what each is charged, what is emphasised."""

import streamlit as st

from dashboard import data, words
from dashboard.chart import chart
from dashboard.noise import NoiseShape, UnknownNoise, noise_shape
from dashboard.panels import EMPHASIS, PANELS, Panel, panel_figure

FIRST = 4  # configurations shown before anybody chooses


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
    figure = panel_figure(panel, shapes, labels, legend)
    chart(figure, key=panel.title, alt=f"{panel.title}: {panel.words}")


schedules_page()
