"""One trial: what it was asked, how it went, what it branched from, what it left, and how to make it
again."""

import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from dashboard import data, state, tables, traces
from dashboard.chart import chart
from dashboard.details import choose_metrics, masking_rates, seed_of
from dashboard.figures.curves import multiples
from dashboard.player import samples_player
from dashboard.snapshot import Snapshot
from dashboard.traces import Asked
from dashboard.values import ago, shown
from sweeper.files import run_folder
from sweeper.files.trial_files import files_of
from sweeper.results.repro import not_default, repro
from sweeper.store.engine import StoreError
from sweeper.store.records import TrialRecord

MOST_EVENTS = 200
MOST_LINES = 400  # of a log, that are shown
MOST_OFFERED = 500  # trials in the picker
GREY_LIGHT, GREY_DARK = "#5B6875", "#A3AEBA"  # as config.toml's grayTextColor


def pick(now: Snapshot) -> TrialRecord | None:
    """The trial of the address; the best row's first, where that names none."""
    called = {trial.called: trial for trial in now.trials.values()}
    if not called:
        return None
    asked = state.TRIAL.numbers()
    if state.TRIAL.get() and not (asked and asked[0] in called):
        st.text(f"There is no trial {', '.join(state.TRIAL.get())[:80]} in this sweep. Another is shown.")
    first = next((number for mine in now.frame["trials"] for number in mine), min(called))
    key = f"trial_called-{now.sweep.id}"
    st.session_state[key] = asked[0] if asked and asked[0] in called else first

    def choose() -> None:
        state.TRIAL.set([st.session_state[key]])

    named = traces.Names(now.frame)

    def label(number: int) -> str:
        each = called[number]
        return f"{number}: {named[each.configuration]}, seed {each.seed}, {each.state}"

    offered = sorted(called)
    if len(called) > MOST_OFFERED:
        best = [number for mine in now.frame["trials"].head(MOST_OFFERED) for number in mine]
        offered = list(dict.fromkeys([*best[:MOST_OFFERED], st.session_state[key]]))
        st.caption(
            f"The best {MOST_OFFERED} of {len(called):,} are offered; any other by the address: ?trial=9"
        )
    st.selectbox("Trial", offered, format_func=label, key=key, on_change=choose)
    trial = called[st.session_state[key]]
    alike = [each for each in called.values() if each.configuration == trial.configuration]
    if len(alike) > 1:
        seeds = f"seeds-{trial.id}"
        st.session_state[seeds] = trial.called
        st.segmented_control(
            "Seeds of its configuration",
            sorted(each.called for each in alike),
            format_func=lambda n: f"seed {called[n].seed}: trial {n}",
            key=seeds,
            on_change=lambda: state.TRIAL.set([st.session_state[seeds] or trial.called]),
        )
    return trial


def facts(now: Snapshot, trial: TrialRecord) -> None:
    cost = f"{ago(trial.gpu_seconds)} GPU" if trial.gpu_seconds else f"{ago(trial.cpu_seconds)} CPU"
    step = max((each.step for each in now.latest.get(trial.id, {}).values()), default=0)
    parts = [
        *(trial.state, trial.role, f"seed {trial.seed}", f"configuration {trial.configuration}"),
        *(f"step {step:,} of {trial.steps:,}", f"attempt {trial.attempt}", cost),
    ]
    if trial.started:
        parts.append(f"took {ago((trial.ended or time.time()) - trial.started)}")
    st.text("; ".join(parts))
    if trial.repeat_of:
        repeated = now.trials[trial.repeat_of]
        st.text(f"It repeats trial {repeated.called}, whose values are its own: it was not run.")
    if trial.reason:
        st.text(trial.reason)
    if trial.stage:
        stage = data.reader().stage(trial.stage)
        others = sum(each.stage == trial.stage and each.id != trial.id for each in now.trials.values())
        if stage is not None:
            cost = f"{ago(stage.gpu_seconds)} GPU" if stage.gpu_seconds else f"{ago(stage.cpu_seconds)} CPU"
            shared = f"{others} other trials branch from it" if others else "no other trial branches from it"
            st.text(
                f"Branched from pretrain {stage.key}: {stage.state}, {stage.steps:,} steps, {cost}; {shared}."
            )
    if trial.error:
        st.text("Error")
        long = trial.error.count("\n") > 10
        st.code(trial.error, language=None, wrap_lines=True, height=260 if long else "content")


def curves_and_values(now: Snapshot, trial: TrialRecord) -> None:
    left, right = st.columns([3, 2], gap="medium")
    with left:
        metrics = choose_metrics(now, [trial.id], "trial_metrics", most=6)
        drawn = traces.drawn(now, [trial.id], metrics, Asked())
        chart(
            multiples(drawn.panels, drawn.axes, 300, columns=1),
            key="trial-curves",
            alt=f"{', '.join(metrics) or 'nothing'} over steps, of trial {trial.called} and its pretrain",
        )
        if drawn.axes.start is not None:
            st.caption("Double-click: the whole pretrain.")
    with right:
        every = st.toggle("Defaults too", key="trial_defaults", bind="query-params")
        values = value_table(now.values[trial.configuration], now.searched, every)
        st.dataframe(
            greyed(values) if every else values,
            column_config=tables.VALUE_COLUMNS,
            hide_index=True,
            height=360,
            key="trial-values",
            alt="Values of the trial",
        )


def value_table(values: dict, searched: list[str], every: bool) -> pd.DataFrame:
    """The searched first, then what is set; `every`: what is a default, too, and marked so."""
    said = _said(tuple(sorted(values.items(), key=lambda item: item[0])))
    first = [name for name in searched if name in values]
    names = [*first, *sorted(said - set(first))]
    if every:
        names += sorted(set(values) - set(names))
    marks = ["searched" if name in searched else "" if name in said else "default" for name in names]
    return pd.DataFrame({"name": names, "value": [shown(values[name]) for name in names], "searched": marks})


def greyed(values: pd.DataFrame) -> Styler:
    """The defaults in the page's grey, of a light or a dark page."""
    grey = f"color: {GREY_DARK if st.context.theme.type == 'dark' else GREY_LIGHT}"
    is_default = (values["searched"] == "default").to_numpy()
    css = np.where(is_default[:, None], grey, "").repeat(values.shape[1], axis=1)
    return values.style.apply(lambda _: css, axis=None)


def left_behind(now: Snapshot, trial: TrialRecord) -> None:
    """What is long, or costs a browser much, is drawn when it is opened."""
    st.subheader("Events", anchor=False)
    st.dataframe(
        tables.event_table(data.reader().events(now.sweep.id, trial.id, MOST_EVENTS), now.trials),
        column_config=tables.EVENT_COLUMNS,
        hide_index=True,
        key="trial-events",
        placeholder="",
        alt="What happened to the trial",
    )
    with st.expander("Files, and how it is made again", key="trial_files", bind="query-params") as files:
        if files.open:
            st.code("\n".join(files_of(now.sweep, trial).in_words()), language=None, wrap_lines=True)
            made_again(now, trial)
    with st.expander("Log of the sweep's workers", key="trial_log_open", bind="query-params") as shown_log:
        if not shown_log.open:
            return
        log = run_folder.log_of(now.sweep).splitlines()
        word = st.text_input("Search", key="trial_log", bind="query-params")
        found = [line for line in log if word.lower() in line.lower()]
        st.caption(f"{len(found):,} of the last {len(log):,} lines of ray.log." if log else "No log is here.")
        if found:
            st.code("\n".join(found[-MOST_LINES:]), language=None, height=300)


def made_again(now: Snapshot, trial: TrialRecord) -> None:
    try:
        line = _line(data.url(), now.sweep.name, trial.id)
    except ValueError as error:  # this version has no such run any more
        st.text(f"This version cannot make it again: {error}")
    else:
        st.code(line, language=None, wrap_lines=True)


@st.cache_resource(max_entries=64, show_spinner=False)
def _line(address: str, sweep: str, trial: int) -> str:
    """Of a trial that is there; what it was asked never changes."""
    now = data.chosen()
    record = now.trials[trial]
    return repro(data.reader(), now.sweep, record).line(Path("runs") / f"{sweep}-{record.called}")


@st.cache_resource(max_entries=64, show_spinner=False)
def _said(values: tuple[tuple[str, object], ...]) -> set[str]:
    """The names of what is no default; all of them in a sweep of another version."""
    try:
        return set(not_default(dict(values)))
    except ValueError:
        return {name for name, _ in values}


def trial_page(number: int, state: str, trials: int) -> None:
    """number: its id. state, and trials: how many there were, when it was picked."""
    now = data.chosen()
    trial = now.trials.get(number)
    # There are others to pick from, or it has ended and left samples.
    if trial is None or trial.state != state or len(now.trials) != trials:
        st.rerun()
    facts(now, trial)
    curves_and_values(now, trial)
    masking_rates(now, [trial], "trial", seed_of)
    left_behind(now, trial)


def again() -> None:
    """The store could not be read: everything is drawn when it can."""
    data.chosen()
    st.rerun()


def wait() -> None:
    if data.chosen().trials:
        st.rerun()
    st.text("No trial has been proposed yet.")


st.header("Trial", anchor=False)
try:
    now = data.chosen()
    trial = pick(now)
except StoreError:
    data.live(again, 2)
else:
    if trial is None:
        data.live(wait, 2)
    else:
        data.live(partial(trial_page, trial.id, trial.state, len(now.trials)), 5)
        samples_player(files_of(now.sweep, trial).folder, str(trial.id))
