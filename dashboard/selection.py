"""A table in which rows are selected that stay selected: over a redraw, another order, another page."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import streamlit as st

from dashboard.state import ROWS

ROW_HEIGHT = 35
MOST_SEEN = 14  # rows; the others are scrolled to


class Drawn(NamedTuple):
    """How a table was drawn last: what a click in it is to be read by."""

    order: list[int]  # configurations, from the top
    places: list[int]  # of those that were selected
    heads: dict[str, str]  # names of columns, by title


SORTS = ("▲ ", "▼ ")  # before a title: the rows are in order of it, up or down
TURN = "table-turn"  # in the session


def turned(key: str) -> str:
    """The key of a table as it is now: another after a head has sorted it, so that it begins unsorted."""
    return f"{key}--{st.session_state.get(TURN, 0)}"


def turn() -> None:
    st.session_state[TURN] = 1 - st.session_state.get(TURN, 0)


def heads(key: str) -> dict[str, str]:
    """Names of a table's columns, by title."""
    drawn: Drawn | None = st.session_state.get(f"{key}-drawn")
    return drawn.heads if drawn else {}


def selected(key: str) -> list[int]:
    """Configurations. Before the table is drawn: what it was clicked to is taken in by the order it had."""
    held: Any = st.session_state.get(key)
    drawn: Drawn | None = st.session_state.get(f"{key}-drawn")
    if held is not None and drawn is not None and sorted(held["selection"]["rows"]) != drawn.places:
        clicked = [drawn.order[place] for place in held["selection"]["rows"] if place < len(drawn.order)]
        before = ROWS.numbers()  # what a filter hides stays selected
        still = [each for each in before if each in clicked or each not in drawn.order]
        ROWS.set([*still, *(each for each in clicked if each not in still)])
    return list(ROWS.numbers())


def marked(settings: Mapping[str, Any], by: str, descending: bool) -> dict[str, Any]:
    """Columns' settings; the one that the rows are in order of says so."""
    found = dict(settings)
    if by in found:
        found[by] = {**found[by], "label": f"{SORTS[descending]}{found[by]['label']}"}
    return found


def table(view: pd.DataFrame, settings: Mapping[str, Any], order: Sequence[int], key: str, alt: str) -> None:
    """key: of `turned`; one for all orders of the rows, so that the scroll stays as it is.

    order: the configuration of each row. A selection is a place in the table, and places move while trials
    end: under a new order the same configurations are selected at their new places.
    """
    place = {each: i for i, each in enumerate(order)}
    places = sorted(place[each] for each in ROWS.numbers() if each in place)
    held: Any = st.session_state.get(key)
    if held is None or sorted(held["selection"]["rows"]) != places:
        st.session_state[key] = {"selection": {"rows": places}}
    st.session_state[f"{key}-drawn"] = Drawn(
        list(order), places, {setting["label"]: name for name, setting in settings.items()}
    )
    st.dataframe(
        view,
        column_config=settings,
        hide_index=True,
        height=ROW_HEIGHT * (max(1, min(len(order), MOST_SEEN)) + 1) + 3,  # one line says that it is empty
        row_height=ROW_HEIGHT,
        on_select="rerun",
        selection_mode="multi-row",
        key=key,
        placeholder="",
        alt=alt,
    )
