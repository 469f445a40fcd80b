"""Which rows of the leaderboard are shown, and in which order? Each choice is a widget of the address."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import frame, words
from dashboard.columns import Columns, text
from dashboard.expression import WrongExpression, kept
from dashboard.values import is_number, missing

LONGEST = 200  # characters of a filter's text
SEARCHED_TEXT = ("label", "state", "role", "standing", "note")


def filtered(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The rows that the filters leave; says in a sentence what is wrong with one that means nothing."""
    left, right, states, roles = st.columns([5, 3, 3, 2], vertical_alignment="bottom")
    where = left.text_input(
        "Filter",
        key="where",
        bind="query-params",
        placeholder="block_size <= 8 and val_ppl < 180",
        help="Names of columns, numbers, 'text'; and or not; < <= > >= == != in; + - * /. "
        "A missing value is none. A name with a sign in it stands in `backquotes`.",
    )
    said = right.text_input("Text", key="text", bind="query-params", placeholder="in name, value, note …")
    chosen_states = states.multiselect(
        "State", _with(words.STATES, rows["state"]), key="states", bind="query-params", placeholder="any"
    )
    chosen_roles = roles.multiselect(
        "Role", frame.present(rows["role"]), key="roles", bind="query-params", placeholder="any"
    )
    keep = np.ones(len(rows), bool)
    if chosen_states:
        keep &= rows["state"].isin(chosen_states).to_numpy()
    if chosen_roles:
        keep &= rows["role"].isin(chosen_roles).to_numpy()
    if said:
        keep &= has_text(rows, columns, said[:LONGEST])
    if where:
        try:
            keep &= kept(
                where, columns.names, lambda name: columns.cells(name, rows), len(rows), columns.searched
            )
        except WrongExpression as wrong:
            st.text(f"{wrong} The filter is left out.")
    return rows[keep]


def within_ranges(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Bounds of some columns that hold numbers, and values of others."""
    names = st.multiselect(
        "Columns to bound", columns.names, key="ranges", bind="query-params", placeholder="none"
    )
    keep = np.ones(len(rows), bool)
    for name in names:
        cells = columns.cells(name, rows)
        if is_number(cells):
            numbers = pd.to_numeric(cells).to_numpy(float)
            low, high = st.columns(2)
            least = low.number_input(
                f"{name} at least", value=None, key=f"least-{name}", bind="query-params", format="%g"
            )
            most = high.number_input(
                f"{name} at most", value=None, key=f"most-{name}", bind="query-params", format="%g"
            )
            keep &= (numbers >= least) if least is not None else True
            keep &= (numbers <= most) if most is not None else True
        else:
            options = frame.present(cells.map(lambda cell: None if missing(cell) else text(cell)))
            only = st.multiselect(f"{name} is", options, key=f"is-{name}", bind="query-params")
            keep &= cells.map(lambda cell: text(cell) in only).to_numpy(bool) if only else True  # noqa: B023
    return rows[keep]


def has_text(rows: pd.DataFrame, columns: Columns, said: str) -> np.ndarray:
    """In any case, anywhere in what a row is called, its searched values, or what is said of it."""
    names = [
        *SEARCHED_TEXT,
        *columns.searched,
        *(name for name in ("tags", "notes") if name in columns.names),
    ]
    cells = zip(*(columns.cells(name, rows) for name in names), strict=True)
    return np.array([any(said.lower() in text(each).lower() for each in row) for row in cells], bool)


def ordered(rows: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """By any column; 'rank' is the board's own order."""
    names = ["rank", *(name for name in columns.names if name != "rank")]
    by = st.selectbox("Order", names, key="sort", bind="query-params", width=240)
    descending = st.toggle("Descending", key="descending", bind="query-params")
    if by == "rank":
        return rows.iloc[::-1] if descending else rows
    return frame.ordered(rows, columns.cells(by, rows), descending)


def _with(known: Iterable[str], there: pd.Series) -> list[str]:
    """Those known, so that the choice does not change while trials end; and what else there is."""
    return list(dict.fromkeys([*known, *frame.present(there)]))
