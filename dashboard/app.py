"""The dashboard: `python -m sweeper dashboard`, or `streamlit run dashboard/app.py` with SWEEPER_DB set.

Read-only. A page is one file in views/ and one line in PAGES.
"""

import numpy as np
import streamlit as st
from PIL import Image

from dashboard import data

PAGES = (
    st.Page("views/leaderboard.py", title="Leaderboard", default=True),
    st.Page("views/curves.py", title="Curves"),
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
    st.code(data.shown_url(), language=None)
    if problem:
        st.text(problem)
    st.text("Start a sweep in another terminal:")
    st.code("python -m sweeper run search_spaces/schedules.yaml", language="bash")
    st.text("Is it in another store? Stop the dashboard and start it with that store's address:")
    st.code("python -m sweeper dashboard --db sqlite:///elsewhere/sweeps.db", language="bash")


@st.fragment(run_every=3)
def watch(shown: list[tuple[str, str]]) -> None:
    """Redraws everything when a sweep appears, goes on or ends: a page of an ended sweep does not poll."""
    sweeps, _ = data.sweeps()
    if [(sweep.name, sweep.state) for sweep in sweeps] != shown:
        st.rerun()


sweeps, _ = data.sweeps()
page = st.navigation(PAGES, position="sidebar" if sweeps else "hidden")
st.set_page_config(page_title=page.title, page_icon=icon(), layout="wide")
if sweeps:
    with st.sidebar:
        st.selectbox("Sweep", [sweep.name for sweep in sweeps], key="sweep", bind="query-params")
        watch([(sweep.name, sweep.state) for sweep in sweeps])
    page.run()
else:
    wait()
