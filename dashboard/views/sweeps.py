"""All sweeps of all stores: how far each is, its best, what it has cost and saved, what runs now."""

import datetime

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.overview import Line, overview

SECONDS = 5
# What is looked for first is in view at 1280 pixels.
ORDER = (
    *("sweep", "state", "part", "progress", "runs", "best", "interval", "cost", "saved", "took"),
    *("driver", "budget", "started", "tags", "describe"),
)
STATES = {
    "running": "blue",
    "paused": "orange",
    "interrupted": "orange",
    "cut off": "orange",
    "complete": "green",
    "failed": "red",
}


def open_chosen() -> None:
    """Before the next run: the sidebar shows the sweep whose row was chosen."""
    places = st.session_state["sweeps-table"].selection.rows
    if places:
        st.session_state["sweep"] = st.session_state["sweeps-shown"][places[0]]
        st.session_state["sweeps-open"] = True


def sweeps_page() -> None:
    if st.session_state.pop("sweeps-open", False):
        st.switch_page("views/answer.py")
    found, problem = data.sweeps()
    if problem:
        st.text(problem)
    lines = overview(found)
    st.session_state["sweeps-shown"] = [line.sweep for line in lines]
    running = sum(line.state == ["running"] for line in lines)
    st.text(
        f"{len(lines):,} sweep{'s' * (len(lines) != 1)}, {running:,} running. Choose a row to see its answer."
    )
    column = st.column_config
    rows = pd.DataFrame(lines, columns=list(Line._fields))
    rows["started"] = [datetime.datetime.fromtimestamp(line.started) for line in lines]
    for name in ("budget", "saved", "runs", "tags", "describe"):
        if not (rows[name] != "").any():
            rows = rows.drop(columns=name)
    st.dataframe(
        rows,
        hide_index=True,
        key="sweeps-table",
        on_select=open_chosen,
        selection_mode="single-row",
        placeholder="",
        alt="Every sweep, newest first",
        column_order=[name for name in ORDER if name in rows],
        column_config={
            "sweep": column.TextColumn("sweep", pinned=True),
            "state": column.MultiselectColumn(
                "state", options=list(STATES), color=list(STATES.values()), width=96
            ),
            "part": column.ProgressColumn("", min_value=0.0, max_value=1.0, format="percent", width=84),
            "progress": column.TextColumn("trials ended", width=96 if not running else 168),
            "runs": column.TextColumn("runs now", width=290),
            "best": column.NumberColumn(
                "val_ppl", format="%.4g", width=68, help="Of the first row, by what decides"
            ),
            "interval": column.TextColumn("95% interval", alignment="right", width=116),
            "cost": column.TextColumn("used", width=104),
            "saved": column.TextColumn("saved", width=104, help="By sharing pretrains"),
            "driver": column.TextColumn("driven by", width=100),
            "budget": column.TextColumn("budget spent"),
            "took": column.TextColumn("took", width=76),
            "tags": column.TextColumn("tags"),
            "describe": column.TextColumn("what for", width="large"),
            "started": column.DatetimeColumn("started", format="YYYY-MM-DD HH:mm", width=128),
        },
    )


st.header("Sweeps", anchor=False)
st.fragment(data.guarded(sweeps_page), run_every=SECONDS)()
