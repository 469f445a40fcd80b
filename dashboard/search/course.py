"""Sections of the Search page that follow a sweep in time: history, pruning, distribution, workers."""

import time
from collections.abc import Sequence
from itertools import pairwise, repeat

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import data, runs
from dashboard.chart import chart
from dashboard.figures.axes import joint, robust
from dashboard.figures.distribution import distribution
from dashboard.figures.history import history
from dashboard.figures.rungs import rungs as drawn_rungs
from dashboard.figures.states import MOST_MARKS, left_out
from dashboard.figures.timeline import MOST_LANES, timeline
from dashboard.frame import Words
from dashboard.snapshot import Snapshot
from dashboard.values import ago, number
from sweeper.results.savings import pruned
from sweeper.statistics.course import at_once, best_so_far, rungs
from sweeper.store.records import EventRecord, SweepRecord
from trainer.metrics import BY_NAME

MOST_SWEEPS = 8  # in one figure: colours there are
MOST_EVENTS = 20_000


def history_section(now: Snapshot, all_runs: pd.DataFrame) -> None:
    metric = now.board.metric
    found = runs.of_search(all_runs)
    st.text(
        f"Trials of the search in order, with the best {metric} so far of those that are complete, as each "
        "reported it. The leaderboard judges them: by pairs, with the error of text and seeds."
    )
    log = st.toggle("Logarithmic", key="log", bind="query-params")
    axis = robust(found["value"], log)
    drawn = history(found, BY_NAME[metric].label, axis)
    chart(drawn, key="history", alt=f"{metric} of each trial in order, and the best so far")
    complete = np.where(found["state"] == "complete", found["value"], np.nan)
    best = best_so_far(complete)
    if len(best) and np.isfinite(best[-1]):
        called = found["called"].iloc[int(np.argmax(best == best[-1]))]
        since = int((found["called"] > called).sum())
        st.text(f"Lowest: {number(best[-1])}, by trial {called}; {since:,} trials have been proposed since.")
    _notes(
        left_out(len(found), "trials"),
        axis.words("values"),
        f"At the upper edge, too, stand trials without any {metric}." if found["value"].isna().any() else "",
    )


def pruning_section(now: Snapshot, all_runs: pd.DataFrame) -> None:
    found = runs.of_search(all_runs)
    rule = now.sweep.spec.get("early_stopping")
    if not rule:
        st.text("This sweep ends no trial early: its specification has no early_stopping.")
    first = {c: values.get("pretrain.steps", 0) for c, values in now.values.items()}
    saved = pruned(now.trials.values(), dict(zip(found["trial"], found["reached"], strict=True)), first)
    if saved is None:
        if rule:
            st.text("No trial has been pruned yet.")
        return
    st.text(f"Pruning {saved.words()}, at the pace of each.")
    begun = found[found["state"] != "queued"]
    ladder = rungs(begun["reached"] - begun["first"], begun["state"] == "pruned")
    chart(
        drawn_rungs(ladder),
        key="rungs",
        alt="Trials that went on and that were pruned, by step of the fine-tune",
    )
    st.dataframe(
        pd.DataFrame(
            [(rung.step, rung.came, rung.ended, rung.left) for rung in ladder],
            columns=["step", "came", "pruned", "went on"],
        ),
        hide_index=True,
        width="content",
        key="rungs-table",
        alt="Trials by rung",
    )


def distribution_section(now: Snapshot, all_runs: pd.DataFrame) -> None:
    metric = now.board.metric
    st.text(f"The share of complete trials whose {metric} is at most so low, as they reported it.")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        others = {each.name: each for each in data.reader().sweeps() if each.id != now.sweep.id}
        chosen = st.multiselect(
            "Beside it, sweeps of the same store",
            list(others),
            key="beside",
            bind="query-params",
            placeholder="none",
            max_selections=MOST_SWEEPS - 1,
            width=480,
        )
        log = st.toggle("Logarithmic", key="log", bind="query-params")
    found = runs.of_search(all_runs)
    results = {now.sweep.name: found["value"][found["state"] == "complete"].tolist()}
    results |= {name: _results(others[name], metric) for name in chosen}
    axis = joint(results.values(), log)
    chart(
        distribution(results, BY_NAME[metric].label, axis),
        key="distribution",
        alt=f"Share of trials by {metric}, a line a sweep",
    )
    elsewhere = [name for name in chosen if _texts(others[name]) != _texts(now.sweep)]
    _notes(
        f"Other text than here: {', '.join(elsewhere)}. Their values mean something else."
        if elsewhere
        else "",
        f"Values beyond the right edge: {axis.above:,}, up to {axis.largest:.4g}." if axis.above else "",
    )


def workers_section(now: Snapshot, all_runs: pd.DataFrame) -> None:
    began = all_runs[all_runs["started"].notna()]
    if began.empty:
        st.text("Nothing has run yet.")
        return
    moment = last_moment(now.sweep, time.time())
    again = (began["attempt"] > 1).any()
    events = sorted(data.reader().events(now.sweep.id, limit=MOST_EVENTS)) if again else []
    bars = last_attempts(since_last_start(began, events), moment)
    if again:
        bars = pd.concat([earlier_attempts(began, events), bars])
    most, mean = at_once(bars["began"].tolist(), bars["ended"].tolist())
    span = bars["ended"].max() - bars["began"].min()
    st.text(
        f"{len(bars):,} attempts on {began['worker'].nunique():,} workers in {ago(span)}: at most {most} at "
        f"one time, {mean:.1f} in the mean. Pretrains that trials share are not among them."
    )
    first = bars.groupby("lane")["began"].min().sort_values().index.tolist()
    lanes = sorted(first, key=lambda lane: lane == UNKNOWN)
    shown = bars[bars["lane"].isin(lanes[-MOST_LANES:])].sort_values("began").tail(MOST_MARKS)
    chart(
        timeline(shown, lanes[-MOST_LANES:]),
        key="timeline",
        alt="Attempts at trials over time, a line a worker",
    )
    _notes(
        f"The last {MOST_LANES} of {len(lanes):,} workers are drawn." if len(lanes) > MOST_LANES else "",
        f"The last {MOST_MARKS:,} attempts are drawn."
        if len(shown) < len(bars) and len(lanes) <= MOST_LANES
        else "",
    )


ALL_END = ("pause", "interrupt")  # events of a sweep, with which whatever runs is saved and ends
ENDED_BY = {"failure": "failed", "pause": "paused", "interrupt": "paused"}  # an attempt, by what came after
UNKNOWN = "not known"  # of an attempt before the last: its worker is not stored


def last_moment(sweep: SweepRecord, now: float) -> float:
    """Until when what has not ended may have run: where nobody drives, until the driver fell silent."""
    if sweep.ended is not None:
        return sweep.ended
    return now if sweep.driver(now) else min(now, sweep.lease_until or now)


def since_last_start(began: pd.DataFrame, events: Sequence[EventRecord]) -> pd.DataFrame:
    """`started` as the last attempt's: a trial has that of its first, and may have waited for hours between
    them. events: in order."""
    last = {each.trial: each.time for each in events if each.kind == "start" and each.trial is not None}
    several = began["attempt"] > 1
    return began.assign(started=began["trial"].where(several).map(last).fillna(began["started"]))


def last_attempts(began: pd.DataFrame, moment: float) -> pd.DataFrame:
    """Of each trial. One that has not ended goes on until the moment."""
    return pd.DataFrame(
        {
            "lane": began["worker"].replace("", UNKNOWN),
            "state": began["state"],
            "began": began["started"],
            "ended": began["ended"].fillna(moment).clip(lower=began["started"]),
            "hover": list(
                map(
                    Words,
                    repeat(_attempt),
                    began["hover"],
                    began["attempt"],
                    began["ended"].fillna(moment) - began["started"],
                )
            ),
        }
    )


def _attempt(trial: Words, attempt: int, took: float) -> str:
    return f"{trial}\n{f'attempt {attempt}, ' if attempt > 1 else ''}took {ago(took)}"


def earlier_attempts(began: pd.DataFrame, events: Sequence[EventRecord]) -> pd.DataFrame:
    """Of trials that were begun more than once: from each start but the last to what is said next of it, or
    of all that run. events: in order."""
    again = began[began["attempt"] > 1].set_index("trial")
    said: dict[int, list[EventRecord]] = {each: [] for each in again.index}
    for event in events:
        of_all = event.trial is None and event.kind in ALL_END
        for trial in said if of_all else [event.trial]:
            if trial in said and event.kind != "control":  # that it is asked for ends nothing
                said[trial].append(event)
    rows = [
        (
            *(UNKNOWN, ENDED_BY.get(after.kind, "lost"), one.time, after.time),
            f"trial {again['called'][trial]}, an attempt before the last\n{after.kind}",
        )
        for trial, mine in said.items()
        for one, after in pairwise(mine)
        if one.kind == "start" and any(each.kind == "start" for each in mine[mine.index(after) :])
    ]
    return pd.DataFrame(rows, columns=["lane", "state", "began", "ended", "hover"])


def _results(sweep: SweepRecord, metric: str) -> list[float]:
    """Of a sweep's complete trials of the search; NaN where one reported none."""
    reader = data.reader()
    best = {each.trial: each.best for each in reader.latest(sweep.id) if each.name == metric}
    return [
        best.get(trial.id, np.nan)
        for trial in reader.trials(sweep.id)
        if trial.state == "complete" and trial.role in runs.OF_SEARCH and trial.number is not None
        if trial.repeat_of is None
    ]


def _texts(sweep: SweepRecord) -> object:
    """What a sweep's specification says of its text."""
    trainer = sweep.spec.get("trainer") or {}
    return {name: value for name, value in trainer.items() if name.partition(".")[0] == "data"}


def _notes(*sentences: str) -> None:
    """What was left out, if anything."""
    if said := " ".join(filter(None, sentences)):
        st.text(said)
