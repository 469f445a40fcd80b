"""What the numbers are: the passports of this sweep's evaluations, and every metric's definition."""

import streamlit as st

from dashboard import data, tables, words
from dashboard.passports import title_of


def metrics_page() -> None:
    now = data.chosen()
    st.header("Metrics", anchor=False)
    st.text(words.HOW_RANKED)
    passports = now.passports
    if not passports:
        st.text("Nothing has been evaluated yet.")
    for passport in passports:
        with st.container(border=True):
            st.subheader(title_of(passport.split), anchor=False)
            ways = len(passport.provenances)
            st.text(f"{passport.trials:,} trials; estimated in {ways} way{'s' * (ways != 1)}.")
            left, right = st.columns(2, gap="medium")
            with left:
                st.caption("Identity: must be equal to rank together")
                st.dataframe(
                    tables.value_table(passport.identity, []),
                    column_order=["name", "value"],
                    column_config=tables.VALUE_COLUMNS,
                    hide_index=True,
                    alt=f"What must be equal to rank together: {title_of(passport.split)}",
                )
            with right:
                st.caption("Provenance: how it was estimated")
                st.dataframe(
                    tables.provenance_table(passport.provenances),
                    hide_index=True,
                    alt=f"How it was estimated: {title_of(passport.split)}",
                )
    st.subheader("Definitions", anchor=False)
    st.dataframe(
        tables.metric_table(),
        hide_index=True,
        column_config=tables.METRIC_COLUMNS,
        height="content",
        alt="Every metric and what it means",
    )
    st.caption("More in docs/metrics.md.")
    st.subheader("This sweep", anchor=False)
    st.dataframe(tables.sweep_table(now.sweep), hide_index=True, alt="This sweep, as it was begun")
    with st.expander("Specification as it was written", key="written", bind="query-params") as written:
        if written.open:
            st.code(now.sweep.spec_text, language="yaml")


data.live(metrics_page, 10)
