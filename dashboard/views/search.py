"""What has the search found, where, and at what cost? Only the section that is chosen is computed."""

import streamlit as st

from dashboard import data
from dashboard.search.sections import SECTIONS

FIRST = next(iter(SECTIONS))


def search_page() -> None:
    now = data.chosen()
    st.header("Search", anchor=False)
    section = st.segmented_control(
        "Show",
        list(SECTIONS),
        default=FIRST,
        required=True,
        key="section",
        bind="query-params",
        label_visibility="collapsed",
    )
    if not now.trials:
        st.text("No trial has been proposed yet.")
        return
    SECTIONS[section or FIRST](now, now.runs)


data.live(search_page, 10)
