"""The leaderboard: how far the sweep is, what may be said of the best, all configurations, some in detail."""

import time
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard import data, frame, pairs, selection, words
from dashboard.chart import chart
from dashboard.columns import PINNED as AGAINST
from dashboard.columns import Columns
from dashboard.compute import Flops
from dashboard.details import configuration_details
from dashboard.figures.intervals import MOST, differences, intervals
from dashboard.filters import filtered, ordered, within_ranges
from dashboard.said import said
from dashboard.snapshot import Snapshot
from dashboard.state import COLUMNS, PINNED, ROWS
from dashboard.values import number
from sweeper.results.compare import Comparison
from sweeper.results.progress_estimate import pretrains

MOST_ROWS = 500  # in the table unless all are asked for


def header(now: Snapshot) -> None:
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    with left:
        st.header("Leaderboard", anchor=False)
        st.text(words.state_sentence(now.sweep, time.time()))
    with right, st.container(horizontal=True, horizontal_alignment="right", gap="xsmall"):
        for state, colour in words.STATES.items():
            counted = f"{now.states.get(state, 0):,} {state}"
            if now.states.get(state) and counted not in now.sweep.note:  # which says it already
                st.badge(counted, color=colour)
    title, value, interval = frame.first_value(now.frame)
    facts = {
        title: "–" if value is None else number(value),
        "Its 95% interval": interval,
        "Tied with it": f"{frame.ties(now.frame):,}",
        "Trials ended": f"{now.progress.ended:,} of {now.progress.total:,}",
    }
    for place, (name, shown) in zip(st.columns(4), facts.items(), strict=True):
        # A metric's value is read as Markdown, where brackets would make a link.
        place.metric(name, shown.replace("[", "\\[").replace("]", "\\]"), border=True)
    if now.progress.ended < now.progress.total:
        st.progress(now.progress.ended / now.progress.total)
    for pretrain in pretrains(now.stages):
        st.text(pretrain.words())
        st.progress((pretrain.step or 0) / pretrain.steps if pretrain.steps else 0.0)


def columns_of(now: Snapshot) -> Columns:
    """What the table may show: with what people said, and differences to the pinned configuration."""
    more: dict[str, Mapping[int, Any]] = {**said(now)}
    if base := PINNED.numbers():
        found = pairs.against(now, base[0], now.frame["configuration"])
        paired = {each: pair for each, pair in found.items() if isinstance(pair, Comparison)}
        more[AGAINST] = {each: pair.difference for each, pair in paired.items()}
        more[f"{AGAINST}_margin"] = {
            each: (pair.picked_high - pair.picked_low) / 2 for each, pair in paired.items()
        }
    return Columns(now, {**more, "flops": Flops(now)})


def choose_columns(columns: Columns) -> list[str]:
    """Kept in the session and in the address; the usual ones until somebody chooses."""
    usual, there = columns.usual(), set(columns.names)
    chosen = [name for name in COLUMNS.get() if name in there]

    def keep() -> None:
        names = st.session_state["columns"]
        COLUMNS.set([] if names == usual else names)

    def forget() -> None:
        COLUMNS.set([])
        st.session_state["columns"] = usual

    with st.popover(f"Columns: {len(chosen or usual)} of {len(columns.names)}", width="content"):
        st.session_state["columns"] = chosen or usual
        st.multiselect("Columns, in their order", columns.names, key="columns", on_change=keep)
        st.button("As usual", on_click=forget)
    return chosen or usual


def actions(chosen: list[int], shown: set[int]) -> None:
    """What may be done with the rows that are selected."""
    few = not 2 <= len(chosen) <= 8
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        # Links, not buttons: a page that redraws itself may lose a change of page that a button asks for.
        st.page_link(
            "views/compare.py",
            label="Compare",
            disabled=few,
            help="Two to eight configurations, side by side",
        )
        st.page_link("views/curves.py", label="Curves", disabled=not chosen)
        st.page_link("views/schedules.py", label="Schedules", disabled=not chosen)
        st.button(
            "Pin",
            disabled=len(chosen) != 1,
            on_click=lambda: PINNED.set(chosen),
            help="Every row is shown with its paired difference to the pinned one",
        )
        if pinned := PINNED.numbers():
            st.button(f"Unpin no. {pinned[0]}", on_click=lambda: PINNED.set([]))
        if chosen:
            st.button("Select none", on_click=lambda: ROWS.set([]))
            hidden = len(set(chosen) - shown)
            st.text(f"{len(chosen)} selected" + (f", {hidden} of them not in this table" if hidden else ""))


def figure(rows: pd.DataFrame) -> None:
    """Differences to the first, which decide; each value behind a toggle."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Differences to the first", anchor=False)
        absolute = st.toggle("Show each value instead", key="absolute", bind="query-params")
    if absolute:
        chart(intervals(rows), key="intervals", alt="val_ppl of each configuration, with its 95% interval")
    else:
        alt = "What each configuration is above the first, with its 95% interval"
        chart(differences(rows), key="differences", alt=alt)
    left_out = [
        f"{(rows['standing'] == standing).sum():,} {words_of}"
        for standing, words_of in (
            (words.NOT_RANKED, "not ranked"),
            (words.SEARCH_ONLY, "search only: no fresh seeds to hold against the first's"),
        )
        if not absolute and (rows["standing"] == standing).any()
    ]
    drawn = int(rows["above"].notna().sum())
    if drawn > MOST:
        left_out.append(f"{drawn - MOST:,} below row {MOST}")
    if left_out:
        st.caption(f"Not drawn: {'; '.join(left_out)}.")


def leaderboard_page() -> None:
    now = data.chosen()
    header(now)
    if now.frame.empty:
        st.text("No trial has been proposed yet.")
        return
    for alarm in now.board.alarms:
        st.error(alarm)
    st.text("\n".join(now.board.said))
    key = selection.turned(f"table-{now.sweep.id}")
    chosen = [each for each in selection.selected(key) if each in now.values]
    columns = columns_of(now)
    rows = filtered(now.frame, columns)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        bounded = len(st.session_state.get("ranges", ()))
        with st.popover(f"Ranges: {bounded}" if bounded else "Ranges", width="content"):
            rows = within_ranges(rows, columns)
        names = choose_columns(columns)
        rows = ordered(rows, columns)
        everything = len(rows) <= MOST_ROWS or st.toggle(
            f"All {len(rows):,} rows", key="all_rows", bind="query-params"
        )
    shown = rows if everything else rows.head(MOST_ROWS)
    actions(chosen, set(shown["configuration"]))
    if len(rows) < len(now.frame):
        st.caption(f"{len(rows):,} of {len(now.frame):,} configurations")
    if PINNED.numbers():
        st.caption(words.PINNED.format(PINNED.numbers()[0]))
    view, settings = columns.table(names, shown)
    by, descending = st.session_state["sort"], st.session_state["descending"]
    settings = selection.marked(settings, by if by != "rank" or descending else "", descending)
    selection.table(view, settings, shown["configuration"], key, f"Configurations in order of {by}")
    if "val_ppl_as_run" in names:
        st.caption(words.AS_RUN)
    if rows.empty:
        st.text("The filters leave no configuration.")
    else:
        figure(rows)
    if len(chosen) == 1:
        configuration_details(now, chosen[0])


data.live(leaderboard_page, 2)
