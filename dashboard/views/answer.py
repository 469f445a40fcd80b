"""The answer: what may be said of the best, how surely, what keeps rows tied, what settling would cost."""

import time

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import data, words
from dashboard.chart import chart
from dashboard.columns import ppl_format
from dashboard.deciding import Group, deciding
from dashboard.figures.differences import absolute, differences
from dashboard.figures.floors import floors, floors_of
from dashboard.huge import printable
from dashboard.running import show_running
from dashboard.snapshot import ENDED, Snapshot
from dashboard.values import interval
from sweeper.results.row import Row

MOST = 30  # rows of a table or figure
SECONDS = 5


def said(now: Snapshot) -> None:
    """The sentences of `settle` and of the board."""
    for alarm in now.board.alarms:
        st.error(alarm)
    answers = now.board.answers
    for each in answers:
        with st.container(border=True):
            state, sentence = st.columns([1, 11], vertical_alignment="center")
            state.badge("settled" if each.settled else "open", color="green" if each.settled else "orange")
            sentence.text(each.text)
    if not all(each.settled for each in answers) and now.board.limits:
        st.text("\n".join(now.board.limits))


def group_figure(group: Group, place: int) -> None:
    if group.title:
        st.text(group.title)
    first = group.rows.iloc[0]
    if st.session_state.get("absolute"):
        chart(
            absolute(group.rows, most=MOST),
            key=f"absolute-{place}",
            alt=f"val_ppl of {len(group.rows)} rows with its 95% interval, by {group.of}",
        )
        return
    tied = int((group.rows["why"] != "").sum()) - 1
    chart(
        differences(group.rows, group.within, most=MOST),
        key=f"differences-{place}",
        alt=f"How far {len(group.rows)} rows are above the first, {first['label']}, by {group.of}: "
        f"{tied} others may be the best",
    )


def ties(groups: list[Group]) -> None:
    """What keeps each tied row tied with its first, and what would tell."""
    rows = pd.concat([group.rows.assign(group=group.title) for group in groups])
    rows = rows[rows["limited"] != ""]
    if rows.empty:  # the sentence above says what is cheapest
        return
    st.subheader("What keeps rows tied", anchor=False)
    st.caption("Parts of the variance of a tied row's difference to the first, and the cheapest remedy.")
    table = rows[["label", "limited", "remedy", "regret"]].assign(
        label=rows["label"].map(str), regret=100 * np.expm1(rows["regret"])
    )
    st.dataframe(
        table,
        hide_index=True,
        key="ties",
        alt="What keeps each tied row tied with the first, and what would tell them apart",
        column_config={
            "label": st.column_config.TextColumn("row", width=320),
            "limited": st.column_config.TextColumn("limited by", width=200),
            "remedy": st.column_config.TextColumn("cheapest remedy, and its price", width=280),
            "regret": st.column_config.NumberColumn(
                "may lose %", format="%.1f", help="What taking this row may cost at most, of perplexity (95%)"
            ),
        },
    )


def beside(now: Snapshot, groups: list[Group]) -> None:
    """What the search said, what fresh seeds said, and what the test split says."""
    by_id = {row.configuration: row for row in now.board.rows}
    shown = [
        (label, by_id[configuration])
        for group in groups
        for configuration, label in zip(group.rows["configuration"], group.rows["label"], strict=True)
    ][:MOST]
    table = pd.DataFrame([numbers(label, row) for label, row in shown])
    fresh = any(row.confirmed_seeds for _, row in shown)
    if not fresh:
        table = table.drop(columns=["fresh", "fresh interval", "fresh seeds", "optimism"])
    if table["test"].isna().all():
        table = table.drop(columns=["test", "test interval"])
    st.subheader("Search beside fresh seeds beside test" if fresh else "Values", anchor=False)
    if fresh:
        st.caption(
            "The search's own numbers flatter its best: they were picked for them. Fresh seeds had no part "
            "in the search. Optimism: valid against test of the fresh runs, less the same of the search's."
        )
    column, ppl = st.column_config, ppl_format(table["search"])
    table, settings = printable(
        table,
        {
            "row": column.TextColumn("row", width=250),
            "search": column.NumberColumn("search val_ppl", format=ppl),
            "search interval": column.TextColumn("95%", alignment="right"),
            "search seeds": column.NumberColumn("seeds", width=60),
            "fresh": column.NumberColumn("fresh val_ppl", format=ppl),
            "fresh interval": column.TextColumn("95%", alignment="right"),
            "fresh seeds": column.NumberColumn("seeds", width=60),
            "test": column.NumberColumn("test ppl", format=ppl),
            "test interval": column.TextColumn("95%", alignment="right"),
            "optimism": column.NumberColumn("optimism, nats", format="%+.4f"),
        },
    )
    st.dataframe(
        table,
        hide_index=True,
        key="beside",
        alt="Of each row that decides: val_ppl by the search, on fresh seeds, and the test split's",
        column_config=settings,
    )


def numbers(label: object, row: Row) -> dict[str, object]:
    test = row.estimates.get("test_ppl")
    return {
        "row": str(label),
        "search": row.val_ppl,
        "search interval": interval(row.val_ppl_low, row.val_ppl_high),
        "search seeds": row.seeds,
        "fresh": row.confirmed_ppl,
        "fresh interval": interval(row.confirmed_low, row.confirmed_high),
        "fresh seeds": row.confirmed_seeds or None,
        "test": None if test is None else test.value,
        "test interval": "–" if test is None else interval(test.low, test.high),
        "optimism": row.optimism,
    }


def beside_floors(now: Snapshot, groups: list[Group]) -> None:
    """The first of each group, and the baselines, among what simpler models reach."""
    ranked = next((row for row in now.board.rows if row.rank is not None), None)
    found = {} if ranked is None else floors_of(ranked.metrics)
    if not found:
        return
    usual = {row.configuration for row in now.board.rows if "baseline" in row.roles}
    rows = []
    for group in groups:
        shown = group.rows["configuration"].isin(usual)
        shown.iloc[0] = True
        for row in group.rows[shown].itertuples():
            rows.append((str(row.label), float(row.ppl), float(row.low), float(row.high)))
    st.subheader("Against simpler models, on the same tokens", anchor=False)
    lines = ", ".join(f"{name} {ppl:,.4g}" for name, ppl in found.items())
    chart(floors(found, rows), key="floors", alt=f"Perplexity of the first rows and of floors: {lines}")


def answer_page() -> None:
    now = data.chosen()
    st.header("Answer", anchor=False)
    st.text(words.state_sentence(now.sweep, time.time()))
    if now.sweep.state not in ENDED:
        show_running(now)
    said(now)
    groups = deciding(now.board, now.frame)
    if not groups:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        is_absolute = st.session_state.get("absolute", False)
        title = "Each row by itself" if is_absolute else "How far each row is above the first"
        st.subheader(title, anchor=False)
        st.toggle("Absolute values", key="absolute", bind="query-params")
    shaded = " Shaded: as good as nothing." if groups[0].within and not is_absolute else ""
    st.caption(f"By {groups[0].of}. Hollow: no error is known.{shaded}")
    for place, group in enumerate(groups):
        group_figure(group, place)
    ties(groups)
    beside(now, groups)
    beside_floors(now, groups)


data.live(answer_page, SECONDS)
