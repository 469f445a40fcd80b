"""What has a person chosen? Kept over a redraw, a change of page and a reload, and in the page's address.

A widget whose value is plain is bound to the address by Streamlit itself: key=..., bind="query-params". Here
is what no widget holds: which rows are selected, which is pinned."""

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

MOST = 2000  # characters of one in the address


class Kept(NamedTuple):
    """A choice, as words. `name` stands in the address: ?rows=3,5."""

    name: str

    def get(self) -> tuple[str, ...]:
        return tuple(st.session_state.get(self._key, ()))

    def numbers(self) -> tuple[int, ...]:
        """Those of the words that are whole numbers: addresses are typed by people, too."""
        return tuple(int(word) for word in self.get() if word.isdecimal() and len(word) < 19)

    def set(self, words: Sequence[object]) -> None:
        st.session_state[self._key] = tuple(str(word) for word in words)
        self.tell()

    def tell(self) -> None:
        """In the address, as it is now."""
        said = ",".join(self.get())
        if said and len(said) <= MOST:
            st.query_params[self.name] = said
        elif self.name in st.query_params:
            del st.query_params[self.name]

    def take(self) -> None:
        """From the address, where a session has none of its own yet."""
        if self._key not in st.session_state and (said := st.query_params.get(self.name, "")):
            st.session_state[self._key] = tuple(word for word in said[:MOST].split(",") if word)

    def forget(self) -> None:
        st.session_state.pop(self._key, None)

    @property
    def _key(self) -> str:
        return f"kept-{self.name}"


ROWS = Kept("rows")  # configurations that are selected
PINNED = Kept("pinned")  # the configuration that others are held against
TRIAL = Kept("trial")
COLUMNS = Kept("columns")  # of the leaderboard
ZOOM = Kept("zoom")  # axes of figures
SCROLL = Kept("scroll")  # of tables
ALL = (ROWS, PINNED, TRIAL, COLUMNS, ZOOM, SCROLL)
OF_A_SWEEP = (ROWS, PINNED, TRIAL, ZOOM, SCROLL)  # ids and values, which mean nothing in another sweep


def carry(sweep: str) -> None:
    """At the top of every run: what was chosen is in the address again, which a change of page has emptied.

    sweep: that is shown. Where it is another than before, what was chosen in that one is forgotten.
    """
    before = st.session_state.get("kept-for")
    if before is not None and before != sweep:
        for each in OF_A_SWEEP:
            each.forget()
    st.session_state["kept-for"] = sweep
    for each in ALL:
        if before in (None, sweep):
            each.take()
        each.tell()
