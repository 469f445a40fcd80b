"""What schedule, clip and weight do: the masking rates drawn, what each is charged, what is emphasised."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st
from streamlit import column_config as column

from dashboard import data, words
from dashboard.chart import chart
from dashboard.columns import ppl_format
from dashboard.noise import NoiseShape, UnknownNoise, noise_shape
from dashboard.panels import EMPHASIS, PANELS, panel_figure, panels_figure
from dashboard.snapshot import Snapshot
from dashboard.state import ROWS
from dashboard.what_if import what_if

FIRST, MOST = 4, 12  # configurations shown before anybody chooses, and at once
MOST_OFFERED = 500  # that the picker lists
SECONDS = 10
NOT_RUN = -1  # in place of a configuration's number


def choose(now: Snapshot, labels: Mapping[int, str]) -> list[int]:
    """The configurations that are selected, here as on the leaderboard; its first ones where none is."""
    chosen = [each for each in ROWS.numbers() if each in labels][:MOST]

    def keep() -> None:
        ROWS.set(st.session_state["drawn"])

    st.session_state["drawn"] = chosen or list(labels)[:FIRST]
    return st.multiselect(
        "Configurations",
        list(dict.fromkeys([*list(labels)[:MOST_OFFERED], *chosen])),
        format_func=lambda configuration: labels[configuration],
        key="drawn",
        on_change=keep,
        max_selections=MOST,
    )


def results(now: Snapshot, shapes: dict[int, NoiseShape], labels: dict[int, str]) -> None:
    """What came of each, beside what it emphasises."""
    rows = now.frame.set_index("configuration")
    table = []
    for each, shape in shapes.items():
        light, medium, heavy = shape.thirds()
        row = rows.loc[each] if each != NOT_RUN else None
        fresh = row is not None and row["confirmed_seeds"] > 0
        table.append(
            {
                "configuration": labels[each],
                "standing": "" if row is None else row["standing"],
                "val_ppl": None if row is None else row["confirmed_ppl" if fresh else "val_ppl"],
                "interval": "" if row is None else str(row["confirmed_interval" if fresh else "interval"]),
                "p < 1/3": 100 * light,
                "to 2/3": 100 * medium,
                "above": 100 * heavy,
                "emphasises": shape.words(),
                "total": shape.total,
                "is": shape.kind,
            }
        )
    view = pd.DataFrame(table)
    share = column.NumberColumn(
        format="%.0f%%", width=64, help="Share of the emphasis on these masking rates"
    )
    st.dataframe(
        view,
        column_config={
            "val_ppl": column.NumberColumn(
                format=ppl_format(view["val_ppl"]), width=72, help="On fresh seeds where there are any"
            ),
            "interval": column.TextColumn("95% interval", width=112),
            "configuration": column.TextColumn(width=196),
            "standing": column.TextColumn(width=112),
            "total": column.NumberColumn(format="%.3f", width=64, help="Of the bound's 1"),
            "is": column.TextColumn(width=104, help="A bound weighs all rates alike, a sum of them rises"),
            **dict.fromkeys(("p < 1/3", "to 2/3", "above"), share),
        },
        hide_index=True,
        height="content",
        placeholder="",
        alt="Results of each configuration, and the share of its emphasis in each third of masking rates",
    )


def schedules_page() -> None:
    now = data.chosen()
    st.header("Schedules", anchor=False)
    st.text(
        "The finetune phase's noise as each configuration has it. "
        "It shapes training alone: val_ppl is measured in the same way for all."
    )
    ranked = words.Labels(now.frame)
    chosen = choose(now, ranked)
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        progress = st.slider(
            "Training progress",
            0.0,
            1.0,
            1.0,
            0.05,
            key="progress",
            width=240,
            bind="query-params",
            help="Moves bimodal_gaussian's second mode.",
        )
        asked = st.toggle("Draw one that has not been run", key="what_if", bind="query-params")
    values: dict[int, Mapping[str, Any]] = {each: now.values[each] for each in chosen}
    if asked:
        with st.container(border=True):
            values[NOT_RUN] = what_if()
    labels = {each: ranked[each] for each in chosen} | {NOT_RUN: "not run"}
    shapes: dict[int, NoiseShape] = {}
    for configuration, of in values.items():
        try:
            shapes[configuration] = noise_shape(of, progress)
        except UnknownNoise as error:
            st.text(f"Configuration {configuration} was stored by another version of the trainer: {error}")
    if not shapes:
        st.text("Choose a configuration.")
        return
    st.subheader(EMPHASIS.title, anchor=False)
    st.caption(EMPHASIS.words)
    chart(
        panel_figure(EMPHASIS, shapes, labels, legend=True),
        key=EMPHASIS.title,
        alt=f"{EMPHASIS.title}: {EMPHASIS.words}",
    )
    results(now, shapes, labels)
    said = " ".join(f"{each.title}: {each.words}" for each in PANELS)
    chart(panels_figure(PANELS, shapes, labels), key="panels", alt=said)


data.live(schedules_page, SECONDS)
