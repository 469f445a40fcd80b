"""One configuration in detail: curves of its trials, values, errors, what happened to it.

Stored strings are shown by st.text, st.code and plain table columns only: never as Markdown or HTML.
"""

import time
from collections.abc import Callable, Sequence

import streamlit as st

from dashboard import data, state, tables, traces, words
from dashboard.chart import chart
from dashboard.figures import curves
from dashboard.figures.bins import BINS, bin_lines
from dashboard.figures.style import empty
from dashboard.huge import printable
from dashboard.snapshot import Snapshot
from dashboard.traces import Asked
from sweeper.store.records import TrialRecord
from trainer.metrics import BY_NAME

MOST_EVENTS = 200
MOST_BUTTONS = 12


def configuration_details(now: Snapshot, configuration: int) -> None:
    row = now.frame[now.frame["configuration"] == configuration].iloc[0]
    trials = [trial for trial in now.trials.values() if trial.configuration == configuration]
    st.subheader(f"Configuration {configuration}", anchor=False)
    st.text(words.row_sentence(row))
    left, right = st.columns([3, 2], gap="medium")
    with left:
        metric_curves(now, [trial.id for trial in trials], key="details", height=330)
    with right:
        st.dataframe(
            tables.value_table(now.values[configuration], now.searched),
            column_config=tables.VALUE_COLUMNS,
            hide_index=True,
            height=400,
            alt="Values of the configuration",
        )
    table, settings = printable(tables.trial_table(trials, now, time.time()), tables.TRIAL_COLUMNS)
    st.dataframe(
        table,
        column_config=settings,
        hide_index=True,
        placeholder="",
        alt="Trials of the configuration",
    )
    open_trial(trials)
    masking_rates(now, trials, "details", seed_of)
    for trial in trials:
        if trial.error:
            st.text(f"Error of trial {trial.called}")
            st.code(
                trial.error,
                language=None,
                wrap_lines=True,
                height=260 if trial.error.count("\n") > 10 else "content",
            )
    events = [each for trial in trials for each in data.reader().events(now.sweep.id, trial.id, MOST_EVENTS)]
    with st.expander(f"Log ({len(events)})", expanded=any(trial.error for trial in trials)):
        st.dataframe(
            tables.event_table(events, now.trials),
            column_config=tables.EVENT_COLUMNS,
            hide_index=True,
            placeholder="",
            alt="What happened to the configuration's trials",
        )


def open_trial(trials: list[TrialRecord]) -> None:
    """A way to the page of each."""
    with st.container(horizontal=True, gap="xsmall"):
        for trial in trials[:MOST_BUTTONS]:
            if st.button(f"Trial {trial.called}", key=f"open-{trial.id}", type="tertiary"):
                state.TRIAL.set([trial.called])
                st.switch_page("views/trial.py")


def masking_rates(
    now: Snapshot, trials: Sequence[TrialRecord], key: str, label: Callable[[TrialRecord], str]
) -> None:
    """The bins of p that runs report at their end; nothing before."""
    found = bin_lines(trials, now.latest, label)
    if not found:
        return
    st.subheader("By masking rate", anchor=False)
    st.caption(
        "At the end of a run, in ten bins of p: blocks drawn, what a masked token costs, what is added."
    )
    for place, (name, lines) in zip(st.columns(len(BINS), gap="medium"), found.items(), strict=False):
        with place:
            figure = curves.panel(lines, "masking rate p", BY_NAME[name].label)
            chart(figure, key=f"{key}-{name}", alt=f"{BY_NAME[name].label} by masking rate")


def seed_of(trial: TrialRecord) -> str:
    return f"seed {trial.seed}"


def choose_metrics(now: Snapshot, trials: Sequence[int], key: str, most: int) -> list[str]:
    """Of what these trials and their pretrains have reported; the usual until somebody chooses."""
    names = traces.metric_names(now, trials)
    usual = traces.usual_metrics(names)
    chosen = st.multiselect(
        "Metrics",
        names,
        key=key,
        placeholder=", ".join(usual),
        bind="query-params",
        max_selections=most,
    )
    return chosen or usual


def metric_curves(now: Snapshot, trials: list[int], key: str, height: int = 340) -> None:
    """A choice of metric and its curve for each of the trials, coloured by configuration."""
    names = traces.metric_names(now, trials, pretrain=False)
    if not names:
        chart(empty("No row has been reported yet.", height), key=f"{key}-none", alt="No curve yet")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Metric", names, key=f"{key}_metric", width=280, persist_state="session")
        log = st.toggle("Log scale", key=f"{key}_log", persist_state="session")
    drawn = traces.drawn(now, trials, [name], Asked(pretrain=False, log_y=log))
    chart(curves.multiples(drawn.panels, drawn.axes, height), key=f"{key}-curves", alt=f"{name} over steps")
