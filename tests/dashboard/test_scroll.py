"""A table's scroll, and the head that sorts it: what an address and a browser may say of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dashboard import scroll, selection
from dashboard.scroll import Scrolled
from tests.dashboard.test_trial_page import opened
from tests.sweeper.filled import fill

PIXELS = st.integers(0, 99_999_999)


@given(st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True), PIXELS, PIXELS)
def test_what_is_kept_is_read_again(table: str, left: int, top: int) -> None:
    it = Scrolled(table, left, top)
    assert list(scroll._made(*it.word.split(":"))) == [it]


@given(st.text(), st.text(), st.text())
def test_an_address_may_say_anything(table: str, left: str, top: str) -> None:
    for each in scroll._made(table, left, top):
        assert each.left >= 0
        assert each.top >= 0


@pytest.mark.parametrize(
    "word", ["table-1:1:-1", "table-1:1:1.5", "table-1:1:9" + 9 * "9", "a b:1:1", ":1:1"]
)
def test_what_is_no_place_is_nothing(word: str) -> None:
    assert list(scroll._made(*word.split(":"))) == []


def sorting(head: str, descending: bool, clicks: int) -> None:
    """A page whose table's head is clicked."""
    from types import SimpleNamespace

    import streamlit as st

    from dashboard import scroll, selection

    for _ in range(clicks):
        key = selection.turned("table-1")
        st.session_state[f"{key}-drawn"] = selection.Drawn([], [], {"fresh": "confirmed_ppl"})
        said = {"key": key, "head": head, "descending": descending}
        st.session_state["tables"] = SimpleNamespace(sorted=said)
        scroll._order()


@pytest.mark.parametrize(
    ("descending", "clicks", "down"),
    [(False, 1, False), (True, 1, True), (False, 2, True), (False, 3, False)],
)
def test_a_head_is_an_order(descending: bool, clicks: int, down: bool) -> None:
    app = AppTest.from_function(sorting, args=("fresh", descending, clicks)).run()
    kept = app.session_state
    assert (kept["sort"], kept["descending"], kept[scroll.SORTED]) == ("confirmed_ppl", down, True)
    assert kept[selection.TURN] == clicks % 2  # another table, which is not sorted by a head


def test_what_is_no_head_orders_nothing() -> None:
    app = AppTest.from_function(sorting, args=("<b>fresh</b>", False, 1)).run()
    assert "sort" not in app.session_state


def test_the_column_of_the_order_is_marked(url: str) -> None:
    fill(url)
    app = opened("leaderboard", sort="val_ppl", descending="true")
    labels = [setting.get("label") for setting in json.loads(app.dataframe[0].proto.columns).values()]
    assert "▼ val_ppl" in labels
    assert "val_ppl" not in labels
    assert app.session_state["table-1--0-drawn"].heads["▼ val_ppl"] == "val_ppl"


def test_a_link_keeps_its_scroll(url: str) -> None:
    fill(url)
    app = opened("leaderboard", scroll="table-1:300:70,nothing")
    assert app.query_params["scroll"] in (["table-1:300:70,nothing"], "table-1:300:70,nothing")
