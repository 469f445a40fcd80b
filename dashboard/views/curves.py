"""Any metrics over steps, tokens or seconds, for chosen configurations: their runs, or means over seeds."""

import streamlit as st

from dashboard import data, state, traces, words
from dashboard.chart import chart
from dashboard.details import choose_metrics
from dashboard.figures.curves import multiples
from dashboard.snapshot import Snapshot
from dashboard.traces import Asked

FIRST = 5  # configurations that are shown before anybody chooses
MOST = 24  # of them
MOST_METRICS = 9
MOST_OFFERED = 500  # configurations that the picker lists


def chosen_rows(now: Snapshot) -> list[int]:
    """Configurations: those that are selected on any page; the first where none is."""
    labels = words.Labels(now.frame)
    key = f"curve_rows-{now.sweep.id}"
    st.session_state[key] = [row for row in state.ROWS.numbers() if row in labels][:MOST]
    st.multiselect(
        "Configurations",
        list(dict.fromkeys([*list(labels)[:MOST_OFFERED], *st.session_state[key]])),
        format_func=lambda row: labels[row],
        key=key,
        placeholder=f"the first {FIRST}",
        max_selections=MOST,
        on_change=lambda: state.ROWS.set(st.session_state[key]),
    )
    return st.session_state[key] or list(labels)[:FIRST]


def how() -> Asked:
    """What the widgets say; each is in the address."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        over = st.segmented_control(
            "Over", traces.OVER, default="step", required=True, key="curve_x", bind="query-params"
        )
        mean = st.toggle("Mean over seeds", key="curve_mean", bind="query-params")
        pretrain = st.toggle("Pretrain", value=True, key="curve_pretrain", bind="query-params")
        log_x = st.toggle("Log x", key="curve_log_x", bind="query-params")
        log_y = st.toggle("Log y", key="curve_log_y", bind="query-params")
        smoothing = st.slider(
            "Smoothing", 0.0, 0.99, 0.0, 0.01, key="curve_smoothing", bind="query-params", width=150
        )
    return Asked(over or "step", mean, smoothing, pretrain, log_x, log_y)


def curves_page() -> None:
    now = data.chosen()
    st.header("Curves", anchor=False)
    rows = chosen_rows(now)
    trials = [trial for row in rows for trial in _trials(now, row)]
    metrics = choose_metrics(now, trials, "curve_metrics", MOST_METRICS)
    asked = how()
    drawn = traces.drawn(now, trials, metrics, asked)
    st.caption(_legend(asked))
    over = ", ".join(metrics) or "nothing"
    height = 540 if len(metrics) == 1 else 360
    chart(
        multiples(drawn.panels, drawn.axes, height),
        key="curves",
        alt=f"{over} over {asked.over}, of {len(rows)} configurations",
    )
    if drawn.unseen:
        st.caption(f"Not on this machine, and so not drawn: the curves of {drawn.unseen} pretrains.")


def _trials(now: Snapshot, configuration: int) -> list[int]:
    return [trial.id for trial in now.trials.values() if trial.configuration == configuration]


def _legend(asked: Asked) -> str:
    said = (
        "One line a configuration: the mean over its seeds, in a band from the lowest to the highest."
        if asked.mean
        else "One colour a configuration, one dash a seed. Click a name in the legend to hide its lines."
    )
    return f"{said} Double-click: the whole pretrain." if asked.pretrain else said


data.live(curves_page, 5)
