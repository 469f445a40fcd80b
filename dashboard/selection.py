"""A table in which rows are selected that stay selected: over a redraw, another order, another page."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.state import ROWS

ROW_HEIGHT = 35
MOST_SEEN = 14  # rows; the others are scrolled to


def selected(key: str) -> list[int]:
    """Configurations, before the table is drawn: what it was clicked to is taken in by the order it had."""
    held, order = st.session_state.get(key), st.session_state.get(f"{key}-order", [])
    if held is not None and order:
        places = [place for place in held["selection"]["rows"] if place < len(order)]
        clicked = [order[place] for place in places]
        hidden = [each for each in ROWS.numbers() if each not in order]  # a filter hides it, no more
        still = [each for each in ROWS.numbers() if each in clicked or each in hidden]
        now = [*still, *(each for each in clicked if each not in still)]
        if now != list(ROWS.numbers()):
            ROWS.set(now)
    return list(ROWS.numbers())


def table(view: pd.DataFrame, settings: Mapping[str, Any], order: Sequence[int], key: str, alt: str) -> None:
    """key: one for all orders of the rows, so that a header's sort and the scroll stay as they are.

    order: the configuration of each row. A selection is a place in the table, and places move while trials
    end: under a new order the same configurations are selected at their new places.
    """
    order = list(order)
    if st.session_state.get(f"{key}-order") != order or key not in st.session_state:
        place = {each: i for i, each in enumerate(order)}
        mine = [place[each] for each in ROWS.numbers() if each in place]
        st.session_state[key] = {"selection": {"rows": mine}}
        st.session_state[f"{key}-order"] = order
    st.dataframe(
        view,
        column_config=settings,
        hide_index=True,
        height=ROW_HEIGHT * (min(len(order), MOST_SEEN) + 1) + 3,
        row_height=ROW_HEIGHT,
        on_select="rerun",
        selection_mode="multi-row",
        key=key,
        placeholder="",
        alt=alt,
    )
