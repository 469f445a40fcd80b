"""Zoom of a figure, kept over a change of page, a reload and in the address; over a redraw plotly keeps it.

Streamlit does not say when a figure is zoomed. A component without a face listens to plotly and says so; what
it says is a choice like any other, and `chart` gives it to the figure when that is drawn anew."""

import math
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go
import streamlit as st

from dashboard.state import ZOOM

FIGURE, AXIS = re.compile(r"[\w-]{1,80}"), re.compile(r"[xy]axis\d{0,2}")


End = float | datetime  # of an axis of numbers, or of dates, which are as the figure's: without a zone


class Zoomed(NamedTuple):
    """An axis of a figure. figure: the class that Streamlit gives it, made of its key."""

    figure: str
    axis: str
    low: End  # above high where the axis runs downwards
    high: End

    @property
    def word(self) -> str:
        return ":".join([self.figure, self.axis, *map(_in_an_address, self[2:])])

    @property
    def range(self) -> list[float | str]:
        """As Plotly takes it."""
        return [str(end) if isinstance(end, datetime) else end for end in self[2:]]


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
            kept.update((place, found) for found in _made(*place, *map(str, each["range"][:2])))
    ZOOM.set([each.word for each in kept.values()])


def zoomed(figure: go.Figure, key: str) -> go.Figure:
    """A figure as it was zoomed; itself where it was not. key: that it is shown by."""
    name = re.sub(r"[^\w-]", "-", key.strip(), flags=re.ASCII)
    mine = [each for each in _kept() if each.figure == name]
    if not mine:
        return figure
    there = {_axis(each, way) for each in figure.data for way in "xy"}
    ranges = {each.axis: {"range": each.range} for each in mine if each.axis in there}
    return go.Figure(figure).update_layout(ranges)


def _axis(trace: Any, way: str) -> str:
    """Of a trace, as a layout calls it: yaxis2 where the trace says y2."""
    said = getattr(trace, f"{way}axis", None) if f"{way}axis" in trace else None
    return f"{way}axis{(said or way)[1:]}"


def _kept() -> Iterator[Zoomed]:
    for word in ZOOM.get():
        yield from _read(word)


def _read(word: str) -> Iterator[Zoomed]:
    """Of what an address says: nothing where it is no zoom."""
    yield from _made(*word.split(":")) if word.count(":") == 3 else ()


def _made(figure: str, axis: str, low: str, high: str) -> Iterator[Zoomed]:
    ends = [each for end in (low, high) if (each := _end(end)) is not None]
    alike = len({type(end) for end in ends}) == 1 and len(set(ends)) == 2
    if FIGURE.fullmatch(figure) and AXIS.fullmatch(axis) and alike:
        yield Zoomed(figure, axis, *ends)


def _end(said: str) -> End | None:
    try:
        number = float(said)
    except ValueError:
        pass
    else:
        return number if math.isfinite(number) else None
    try:
        return datetime.fromisoformat(said).replace(tzinfo=None)
    except ValueError:
        return None


def _in_an_address(end: End) -> str:
    """A date without signs that mean something there."""
    return f"{end:%Y%m%dT%H%M%S.%f}" if isinstance(end, datetime) else f"{end:.9g}"


_EARS = st.components.v2.component("zoom", js=Path(__file__).with_suffix(".js").read_text())
