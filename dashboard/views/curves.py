"""Any metric over steps, for chosen trials side by side."""

import streamlit as st

from dashboard import data, words
from dashboard.details import metric_curves

FIRST = 5  # configurations whose trials are shown before anybody chooses


def curves_page() -> None:
    now = data.chosen()
    st.header("Curves", anchor=False)
    st.text("One colour a configuration, one dash a seed. Click a name in the legend to hide a line.")
    labels = words.trial_labels(now.frame, now.trials)
    default = [trial for trial in now.frame["trials"].head(FIRST).sum() or [] if trial in labels]
    chosen = st.multiselect(
        "Trials",
        list(labels),
        default=default,
        format_func=lambda trial: labels[trial],
        key=f"trials-{now.sweep.id}",
        max_selections=40,
        persist_state="session",
    )
    metric_curves(now, chosen, key="overlay", height=520)


data.live(curves_page, 5)
