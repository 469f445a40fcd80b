"""How far was a table scrolled, and by which head was it sorted? Kept over a change of page and in the
address.

Streamlit tells neither. A component without a face looks at the tables: a head that sorts is an Order that
was chosen, and the table is drawn anew in it; how far it was scrolled is a choice like any other.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import streamlit as st

from dashboard.selection import heads, turn
from dashboard.state import SCROLL

TABLE = re.compile(r"[\w-]{1,80}")
SORTED = "sorted-by-its-head"  # in the session, until the page is drawn in that order


class Scrolled(NamedTuple):
    """A table's place, in pixels from its left and its top."""

    table: str
    left: int
    top: int

    @property
    def word(self) -> str:
        return ":".join(map(str, self))


@st.fragment
def listen() -> None:
    """Once on every page."""
    ears = _EARS(
        key="tables",
        data={"places": [list(each) for each in _kept()]},
        on_scrolled_change=lambda: None,
        on_sorted_change=_order,
    )
    if isinstance(ears.scrolled, list):
        found = [each for said in ears.scrolled[:100] for each in _made(*map(str, said[:3]))]
        SCROLL.set([each.word for each in found if each.left or each.top])
    if st.session_state.pop(SORTED, False):
        st.rerun()


def _order() -> None:
    """The Order of the page, as a head was clicked to: upwards, and downwards by a second click."""
    said: Any = st.session_state["tables"].sorted
    if said and (name := heads(str(said["key"])).get(str(said["head"]))):
        kept = st.session_state
        again = kept.get("sort") == name and not kept.get("descending")
        kept["sort"], kept["descending"], kept[SORTED] = name, bool(said["descending"] or again), True
        turn()


def _kept() -> Iterator[Scrolled]:
    for word in SCROLL.get():
        yield from _made(*word.split(":")) if word.count(":") == 2 else ()


def _made(table: str, left: str, top: str) -> Iterator[Scrolled]:
    """Of what an address says: nothing where it is no place."""
    if TABLE.fullmatch(table) and all(each.isdecimal() and len(each) < 9 for each in (left, top)):
        yield Scrolled(table, int(left), int(top))


_EARS = st.components.v2.component("tables", js=Path(__file__).with_suffix(".js").read_text())
