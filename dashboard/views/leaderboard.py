"""The leaderboard: how far the sweep is, what may be said of the best, all configurations, one in detail."""

import time
from typing import Literal

import pandas as pd
import streamlit as st

from dashboard import data, frame, tables, words
from dashboard.chart import chart
from dashboard.data import Snapshot
from dashboard.details import configuration_details
from dashboard.figures.intervals import intervals
from dashboard.values import number
from sweeper.results.progress_estimate import pretrains

MOST_ROWS = 500  # in the table unless all are asked for
ROW_HEIGHT = 35
BADGES: dict[
    str, Literal["blue", "gray", "green", "orange", "red"]
] = {  # the states there are; an unknown one is shown in words only
    "running": "blue",
    "queued": "gray",
    "paused": "orange",
    "complete": "green",
    "pruned": "gray",
    "stopped": "orange",
    "interrupted": "orange",
    "lost": "orange",
    "failed": "red",
}


def header(now: Snapshot) -> None:
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        st.header("Leaderboard", anchor=False)
        st.text(words.state_sentence(now.sweep, time.time()))
    with right, st.container(horizontal=True, horizontal_alignment="right", gap="xsmall"):
        for state, colour in BADGES.items():
            if now.states.get(state):
                st.badge(f"{now.states[state]:,} {state}", color=colour)
    title, value, interval = frame.lowest(now.frame)
    facts = {
        title: "–" if value is None else number(value),
        "Its 95% interval": interval,
        "Tied with it": f"{frame.ties(now.frame):,}",
        "Trials ended": f"{now.progress.ended:,} of {now.progress.total:,}",
    }
    for place, (name, shown) in zip(st.columns(4), facts.items(), strict=True):
        # A metric's value is read as Markdown, where brackets would make a link.
        place.metric(name, shown.replace("[", "\\[").replace("]", "\\]"), border=True)
    st.progress(now.progress.ended / now.progress.total if now.progress.total else 0.0)
    for pretrain in pretrains(now.stages):
        st.text(pretrain.words())
        st.progress((pretrain.step or 0) / pretrain.steps if pretrain.steps else 0.0)


def choose_rows(now: Snapshot) -> pd.DataFrame:
    """The rows that the filters leave, in the chosen order."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        states = st.multiselect(
            "State", frame.present(now.frame["state"]), key="states", placeholder="any", width=150
        )
        roles = st.multiselect(
            "Role", frame.present(now.frame["role"]), key="roles", placeholder="any", width=150
        )
        name = st.selectbox(
            "Value of", now.searched, index=None, key="value_of", placeholder="any", width=200
        )
        kept: list = []
        if name is not None:
            kept = st.multiselect(
                "is", frame.present(now.frame[name]), key=f"is_{name}", placeholder="any", width=150
            )
        order = st.selectbox("Sort by", ["rank", *frame.SORTABLE, *now.searched], key="sort", width=180)
        descending = st.toggle("Descending", key="descending")
        st.toggle("All values", key="all_values")
    return frame.ordered(frame.filtered(now.frame, states, roles, name, kept), order, descending)


def table(now: Snapshot, rows: pd.DataFrame) -> int | None:
    """The table; returns the configuration of the row that is chosen."""
    shown = rows
    if len(rows) > MOST_ROWS and not st.toggle(f"All {len(rows):,} rows", key="all_rows"):
        shown = rows.head(MOST_ROWS)
    view, config = tables.for_display(shown, now.searched, now.values, st.session_state["all_values"])
    order = shown["configuration"].tolist()
    kept = st.session_state.get("configuration")
    chosen = st.dataframe(
        view,
        column_config=config,
        hide_index=True,
        height=ROW_HEIGHT * (min(len(shown), 14) + 1) + 3,
        row_height=ROW_HEIGHT,
        on_select="rerun",
        selection_mode=("single-row", "single-cell"),
        # A selection is a place in the table, and places move while trials end: a new order is a new
        # table, in which the same configuration is chosen again.
        key=f"table-{now.sweep.id}-{hash(tuple(order))}",
        selection_default={"selection": {"rows": [order.index(kept)] if kept in order else []}},
        placeholder="",
        alt="Configurations in order of rank",
    ).selection
    places = [*(row for row, _ in chosen.cells), *chosen.rows]  # a click anywhere in a row chooses it
    st.session_state["configuration"] = order[places[0]] if places else None
    return st.session_state["configuration"]


def leaderboard_page() -> None:
    now = data.chosen()
    header(now)
    if now.frame.empty:
        st.text("No trial has been proposed yet.")
        return
    for alarm in now.board.alarms:
        st.error(alarm)
    st.text("\n".join(now.board.said))
    if frame.is_adjusted(now.frame):
        st.caption(words.AS_RUN)
    rows = choose_rows(now)
    chosen = table(now, rows)
    if chosen is not None:
        configuration_details(now, chosen)
        return
    st.subheader("Intervals", anchor=False)
    chart(intervals(rows), key="intervals", alt="val_ppl of each configuration, with its 95% interval")


data.live(leaderboard_page, 2)
