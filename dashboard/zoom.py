"""Zoom of a figure, kept over a change of page, a reload and in the address; over a redraw plotly keeps it.

Streamlit does not say when a figure is zoomed. A component without a face listens to plotly and says so; what
it says is a choice like any other, and `chart` gives it to the figure when that is drawn anew."""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go
import streamlit as st

from dashboard.state import ZOOM

WORD = re.compile(r"([\w-]{1,80}):([xy]axis\d{0,2}):([^:]{1,30}):([^:]{1,30})")  # figure, axis, from, to


class Zoomed(NamedTuple):
    """An axis of a figure. figure: the class that Streamlit gives it, made of its key."""

    figure: str
    axis: str
    low: float  # above high where the axis runs downwards
    high: float

    @property
    def word(self) -> str:
        return f"{self.figure}:{self.axis}:{self.low:.6g}:{self.high:.6g}"


@st.fragment
def listen() -> None:
    """Once on every page. Nothing is drawn again: the browser shows what it was zoomed to already."""
    said = _EARS(key="zoomed", on_zoomed_change=lambda: None).zoomed
    if not isinstance(said, list):
        return
    kept = {(each.figure, each.axis): each for each in _kept()}
    for each in said[:100]:
        place = str(each.get("figure")), str(each.get("axis"))
        kept.pop(place, None)
        if each.get("range"):  # else it shows all again
            word = ":".join([*place, *map(str, each["range"])])
            kept |= {(found.figure, found.axis): found for found in _read(word)}
    ZOOM.set([each.word for each in kept.values()])


def zoomed(figure: go.Figure, key: str) -> go.Figure:
    """A figure as it was zoomed; itself where it was not. key: that it is shown by."""
    name = re.sub(r"[^\w-]", "-", key.strip(), flags=re.ASCII)
    mine = [each for each in _kept() if each.figure == name]
    if not mine:
        return figure
    there = {_axis(each, way) for each in figure.data for way in "xy"}
    ranges = {each.axis: {"range": [each.low, each.high]} for each in mine if each.axis in there}
    return go.Figure(figure).update_layout(ranges)


def _axis(trace: Any, way: str) -> str:
    """Of a trace, as a layout calls it: yaxis2 where the trace says y2."""
    said = getattr(trace, f"{way}axis", None) if f"{way}axis" in trace else None
    return f"{way}axis{(said or way)[1:]}"


def _kept() -> Iterator[Zoomed]:
    for word in ZOOM.get():
        yield from _read(word)


def _read(word: str) -> Iterator[Zoomed]:
    """Of what an address or a browser says: nothing where it is no zoom of a numeric axis."""
    if not (match := WORD.fullmatch(word)):
        return
    try:
        low, high = float(match[3]), float(match[4])
    except ValueError:  # an axis of dates
        return
    if math.isfinite(low) and math.isfinite(high) and low != high:
        yield Zoomed(match[1], match[2], low, high)


_EARS = st.components.v2.component("zoom", js=Path(__file__).with_suffix(".js").read_text())
