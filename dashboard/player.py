"""The samples of a run, and the order of their unmasking played step by step. All of it is shown as text."""

import streamlit as st

from dashboard import unmasking
from dashboard.chart import chart
from dashboard.figures.order import order
from sweeper.files import run_folder
from trainer.sampling.samples_file import SavedSample

FRAME = 0.4  # seconds
FRAMES = 100  # at most: of a longer text several passes at once
PLAYING = "playing"


def samples_player(folder: str, key: str) -> None:
    """folder: the run's. key: of this run, so that each has its own place. Not to be put into a fragment."""
    stamp = run_folder.stamp(folder, run_folder.SAMPLES)
    found = _samples(folder, stamp) if stamp else []
    if not found:
        return
    st.subheader("Samples", anchor=False)
    bar = st.container(horizontal=True, vertical_alignment="bottom")
    number = 1
    if len(found) > 1:
        number = bar.number_input(f"Sample, of {len(found)}", 1, len(found), key=f"sample-{key}", width=160)
    sample = found[number - 1]
    if not sample.words or not sample.passes or not max(sample.passes):
        st.caption(
            "The order in which its tokens were unmasked is not in the file: an older version drew it."
        )
        st.code(sample.text, language=None, wrap_lines=True)
        return
    place, last = f"pass-{key}-{number}", max(sample.passes)
    st.session_state.setdefault(place, last)
    playing = st.session_state.get(PLAYING) == place
    bar.button("Stop" if playing else "Play", on_click=_stop if playing else lambda: _play(place, last))
    st.fragment(lambda: _frame(sample, place, last), run_every=FRAME if playing else None)()


def _play(place: str, last: int) -> None:
    """From where it stands; from the beginning, where that is the end."""
    st.session_state[PLAYING] = place
    if st.session_state[place] >= last:
        st.session_state[place] = 0


def _stop() -> None:
    st.session_state.pop(PLAYING, None)


def _frame(sample: SavedSample, place: str, last: int) -> None:
    if st.session_state.get(PLAYING) == place:
        if st.session_state[place] >= last:
            _stop()
            st.rerun()
        st.session_state[place] = min(last, st.session_state[place] + -(-last // FRAMES))
    shown = st.slider("Passes", 0, last, key=place)
    words, passes = sample.words or [], sample.passes or []
    if sample.prompt:
        st.caption("It begins with a prompt, which was given.")
    st.text(unmasking.decided(words, passes, shown))
    st.code(unmasking.at(words, passes, shown), language=None, wrap_lines=True, height=300)
    chart(
        order(words, passes, shown),
        key=f"order-{place}",
        alt="The pass that decided each token, by its place",
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def _samples(folder: str, stamp: tuple[int, int]) -> list[SavedSample]:
    return run_folder.samples(folder)
