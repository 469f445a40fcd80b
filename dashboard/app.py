"""The dashboard: `python -m sweeper dashboard`, or `streamlit run dashboard/app.py` with SWEEPER_DB set.

It reads; it writes nothing. A page is one file in views/ and one line in PAGES.
"""

import numpy as np
import streamlit as st
from PIL import Image

from dashboard import data, state
from dashboard.data import Found

PAGES = (
    st.Page("views/leaderboard.py", title="Leaderboard", default=True),
    st.Page("views/curves.py", title="Curves"),
    st.Page("views/trial.py", title="Trial"),
    st.Page("views/parameters.py", title="Parameters"),
    st.Page("views/schedules.py", title="Schedules"),
    st.Page("views/metrics.py", title="Metrics"),
)


def icon() -> Image.Image:
    """A block-causal mask. Drawn, because Streamlit would fetch a named icon from another site."""
    seen = np.kron(np.tril(np.ones((4, 4))), np.ones((8, 8)))[..., None] > 0
    pixels = np.where(seen, (36, 94, 140), (222, 232, 240)).astype(np.uint8)
    pixels[::8] = pixels[:, ::8] = 255
    return Image.fromarray(pixels)


@st.fragment(run_every=2)
def wait() -> None:
    """Shown until there is a sweep; looks for one every two seconds."""
    sweeps, problem = data.sweeps()
    if sweeps:
        st.rerun()
    st.header("No sweep yet", anchor=False)
    st.text("This page looks for one every two seconds, and shows it as soon as it is there. It looks in")
    st.code("\n".join(map(data.shown_url, data.urls())), language=None)
    if problem:
        st.text(problem)
    st.text("Start a sweep in another terminal:")
    st.code("python -m sweeper run search_spaces/schedules.yaml", language="bash")
    st.text("Is it in another store? Stop the dashboard and start it with that store's address:")
    st.code("python -m sweeper dashboard --db sqlite:///elsewhere/sweeps.db", language="bash")


@st.fragment(run_every=3)
def watch(shown: list[tuple[str, str]]) -> None:
    """Redraws everything when a sweep appears, goes on or ends: a page of an ended sweep does not poll.

    While no store can be read nothing is redrawn: what is shown stays, and pages say why it does not change.
    """
    sweeps, problem = data.sweeps()
    now = [(each.label, each.sweep.state) for each in sweeps]
    if now != shown and not (problem and not now):
        st.rerun()
    if problem:
        st.caption(problem)


def pick(sweeps: list[Found]) -> None:
    """The sweep in the sidebar, kept in the address; one that is not there is said to be missing."""
    labels = [each.label for each in sweeps]
    asked = st.query_params.get("sweep")
    if asked and asked not in labels:
        st.text(f"There is no sweep {asked[:200]!r} here. Another is shown.")
    label = st.selectbox("Sweep", labels, key="sweep", bind="query-params")
    data.choose(sweeps[labels.index(label)])
    state.carry(label)
    watch([(each.label, each.sweep.state) for each in sweeps])


def last_known() -> list[Found]:
    """All sweeps; while no store can be read, those of before."""
    sweeps, _ = data.sweeps()
    if sweeps:
        st.session_state["sweeps"] = sweeps
    return st.session_state.get("sweeps", sweeps)


sweeps = last_known()
page = st.navigation(PAGES, position="sidebar" if sweeps else "hidden")
st.set_page_config(page_title=page.title, page_icon=icon(), layout="wide")
if sweeps:
    with st.sidebar:
        pick(sweeps)
    page.run()
else:
    wait()
