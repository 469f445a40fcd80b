"""All sweeps of all stores: how far each is, its best, what it has cost and saved, what runs now."""

import datetime

import pandas as pd
import streamlit as st

from dashboard import data
from dashboard.overview import Line, overview

SECONDS = 5
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


@st.fragment(run_every=SECONDS)
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
    for name in ("budget", "saved", "runs"):
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
        column_config={
            "sweep": column.TextColumn("sweep", pinned=True),
            "state": column.MultiselectColumn(
                "state", options=list(STATES), color=list(STATES.values()), width=100
            ),
            "driver": column.TextColumn("driven by"),
            "progress": column.TextColumn("how far"),
            "part": column.ProgressColumn("", min_value=0.0, max_value=1.0, format="percent", width=110),
            "best": column.NumberColumn("best val_ppl", format="%.4g", help="By the numbers that decide"),
            "interval": column.TextColumn("95% interval", alignment="right"),
            "cost": column.TextColumn("used"),
            "saved": column.TextColumn("sharing pretrains"),
            "budget": column.TextColumn("budget spent"),
            "runs": column.TextColumn("runs now", width="large"),
            "started": column.DatetimeColumn("started", format="YYYY-MM-DD HH:mm"),
            "took": column.TextColumn("took"),
        },
    )


st.header("Sweeps", anchor=False)
sweeps_page()
