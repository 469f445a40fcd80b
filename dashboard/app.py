"""The dashboard: `python -m sweeper dashboard`, or `streamlit run dashboard/app.py` with SWEEPER_DB set.

It reads; with --actions it appends to `controls`, and nothing else. A page is one file in views/ and one
line in PAGES.
"""

import numpy as np
import streamlit as st
from PIL import Image

from dashboard import actions, data, scroll, state, zoom
from dashboard.data import Found

PAGES = (
    st.Page("views/answer.py", title="Answer", default=True),
    st.Page("views/leaderboard.py", title="Leaderboard"),
    st.Page("views/sweeps.py", title="Sweeps"),
    st.Page("views/compare.py", title="Compare"),
    st.Page("views/curves.py", title="Curves"),
    st.Page("views/trial.py", title="Trial"),
    st.Page("views/search.py", title="Search"),
    st.Page("views/parameters.py", title="Parameters", visibility="hidden"),
    st.Page("views/schedules.py", title="Schedules"),
    st.Page("views/stages.py", title="Stages"),
    st.Page("views/report.py", title="Report"),
    st.Page("views/cluster.py", title="Cluster"),
    st.Page("views/metrics.py", title="Metrics"),
)
SIDEBAR = 210  # pixels: tables need the rest
# What config.toml cannot say yet. Streamlit leaves 80 pixels at each side of a table that is too wide for
# 1280, and prints the words of figures (3.7:1) and of chips on a dark page (2.3:1) so pale that they are hard
# to read; Plotly draws the axes of parallel coordinates in black, their words with a white shadow.
STYLE = """<style>
[data-testid=stMainBlockContainer] {padding-left: 2rem; padding-right: 2rem}
.js-plotly-plot :is(.cartesianlayer, .infolayer, .parcoords) text {
  fill: currentColor !important; fill-opacity: 0.8 !important}
.parcoords text {text-shadow: none !important}
.parcoords .axis :is(path, line) {stroke: currentColor !important; stroke-opacity: 0.4}
[data-testid=stMultiSelect] [aria-label="Selected values"] > * {
  color: inherit; background-color: color-mix(in srgb, currentColor 14%, transparent)}
</style>"""


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
    st.code("python -m sweeper run schedules", language=None)
    st.text("Is it in another store? Stop the dashboard and start it with that store's address:")
    st.code("python -m sweeper dashboard --db sqlite:///elsewhere/sweeps.db", language=None)


@st.fragment(run_every=3)
def watch(shown: list[tuple[str, str]]) -> None:
    """Redraws everything when a sweep appears, goes on, ends or goes: a page of an ended sweep does not poll.

    While its store cannot be read nothing is redrawn: pages say why nothing changes.
    """
    sweeps, problem = last_known()
    if [(each.label, each.sweep.state) for each in sweeps] != shown:
        st.rerun()
    if problem:
        st.caption(problem)


def pick(sweeps: list[Found]) -> None:
    """The sweep in the sidebar; one that is not there is said to be missing.

    It always stands in the address: Streamlit's own binding leaves out the first of the list, and another is
    the first when a link is opened tomorrow.
    """
    labels = [each.label for each in sweeps]
    asked = st.session_state.get("sweep") or st.query_params.get("sweep")
    if asked and asked not in labels:
        chosen = [each.label for each in sweeps if data.is_chosen(each)]
        if called_now := chosen or [each.label for each in sweeps if each.sweep.name == asked]:
            # It was given another name, or another store has, or had, one of that name.
            st.session_state["sweep"] = called_now[0]
        else:
            st.text(f"There is no sweep {asked[:200]!r} here. Another is shown.")
    elif asked:
        st.session_state["sweep"] = asked
    label = st.selectbox("Sweep", labels, key="sweep")
    st.query_params["sweep"] = label
    data.choose(sweeps[labels.index(label)])
    state.carry(label)
    watch([(each.label, each.sweep.state) for each in sweeps])


def last_known() -> tuple[list[Found], str]:
    """All sweeps, with those of before of stores that cannot be read now; and why they cannot."""
    sweeps, problem = data.sweeps()
    if problem:
        read = {each.url for each in sweeps}
        before = [each for each in st.session_state.get("sweeps", ()) if each.url not in read]
        sweeps = data.labelled([*sweeps, *before])
    st.session_state["sweeps"] = sweeps
    return sweeps, problem


# Before the sidebar is there, which begins with this width or with Streamlit's.
st.set_page_config(page_icon=icon(), layout="wide", initial_sidebar_state=SIDEBAR)
st.html(STYLE)
sweeps, _ = last_known()
page = st.navigation(PAGES, position="sidebar" if sweeps else "hidden")
st.set_page_config(page_title=page.title)
if sweeps:
    with st.sidebar:
        pick(sweeps)
        actions.panel()
        zoom.listen()
        scroll.listen()
    page.run()
else:
    wait()
