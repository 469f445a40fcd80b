"""val_ppl against the searched values: one at a time, and all at once."""

import streamlit as st

from dashboard import data
from dashboard.chart import chart
from dashboard.figures.parallel import MOST_LINES, parallel
from dashboard.figures.scatter import against
from dashboard.values import common_prefix, is_number


def parameters_page() -> None:
    now = data.chosen()
    st.header("Parameters", anchor=False)
    if not now.searched:
        st.text("Nothing is searched in this sweep.")
        return
    st.text(
        "Each point is a configuration with its 95% interval. "
        "Search trials share one seed: take small differences for noise."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox("Value", now.searched, key="parameter", width=320, persist_state="session")
        categories = [each for each in now.searched if not is_number(now.frame[each])]
        colour_by = st.selectbox(
            "Colour by",
            categories,
            index=None,
            key="colour_by",
            placeholder="nothing",
            width=320,
            persist_state="session",
        )
        log = st.toggle("Log scale", key="parameters_log", persist_state="session")
    chart(against(now.frame, name, colour_by, log), key="against", alt=f"val_ppl against {name}")
    prefix = common_prefix(now.searched)
    labels = [each.removeprefix(prefix) for each in now.searched]
    st.subheader("All searched values", anchor=False)
    st.text("Dark lines rank high. Drag along an axis to keep a range; drag a name to move its axis.")
    chart(
        parallel(now.frame, now.searched, labels),
        key="parallel",
        alt="All searched values and val_ppl as parallel coordinates",
    )
    if len(now.frame) > MOST_LINES:
        st.text(f"The best {MOST_LINES} of {len(now.frame):,} configurations are drawn.")


data.live(parameters_page, 10)
