"""What has the search found, where, and at what cost? Only the section that is chosen is computed."""

from collections.abc import Callable

import pandas as pd
import streamlit as st

from dashboard import data, runs
from dashboard.data import Snapshot
from dashboard.search.course import distribution_section, history_section, pruning_section, workers_section
from dashboard.search.space import importance_section, slices_section, two_section
from dashboard.search.together import parallel_section, pareto_section

Section = Callable[[Snapshot, pd.DataFrame], None]  # of a sweep and of its trials (dashboard/runs.py)
SECTIONS: dict[str, Section] = {
    "History": history_section,
    "Importance": importance_section,
    "Slices": slices_section,
    "Two parameters": two_section,
    "Parallel": parallel_section,
    "Pruning": pruning_section,
    "Distribution": distribution_section,
    "Workers": workers_section,
    "Pareto": pareto_section,
}


def search_page() -> None:
    now = data.chosen()
    st.header("Search", anchor=False)
    section = st.segmented_control(
        "Show",
        list(SECTIONS),
        default="History",
        required=True,
        key="section",
        bind="query-params",
        label_visibility="collapsed",
    )
    if not now.trials:
        st.text("No trial has been proposed yet.")
        return
    found = runs.from_trials(now.trials, now.latest, now.values, now.board.metric)
    SECTIONS[section or "History"](now, found)


data.live(search_page, 10)
