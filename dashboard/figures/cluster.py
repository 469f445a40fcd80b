"""How busy was each worker, and how much memory did it hold, over time?"""

import datetime
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.style import BAD, COLOURS, GRID, REST, calm, empty, named, plain

LEAST = 60.0  # seconds of an axis: workers say once a minute what they use
GAP = 150.0  # seconds between two samples over which no line is drawn: nothing is known there


class Series(NamedTuple):
    worker: str
    time: Sequence[float]  # seconds since 1970
    value: Sequence[float]  # NaN: not known


def over_time(series: Sequence[Series], label: str, ends_at: float | None = None) -> go.Figure:
    """A line a worker. ends_at: the most that there can be, marked."""
    series = [each for each in series if np.isfinite(np.asarray(each.value, float)).any()]
    if not series:
        return empty(f"No {label} was sampled yet: workers say it once a minute.")
    figure = go.Figure()
    for place, each in enumerate(series):
        time, value = np.asarray(each.time, float), np.asarray(each.value, float)
        cuts = np.flatnonzero(np.diff(time) > GAP) + 1
        value = np.insert(value, cuts, np.nan)
        when = [datetime.datetime.fromtimestamp(at) for at in np.insert(time, cuts, time[cuts])]
        figure.add_scatter(
            x=when,
            y=value,
            mode="lines+markers",
            name=plain(each.worker, 40),
            line={"color": COLOURS[place % len(COLOURS)], "width": 1.6},
            marker={"size": 4},
            connectgaps=False,
            hovertemplate=named("%{x|%H:%M:%S}: %{y:.3g}", each.worker),
        )
    if ends_at is not None:
        figure.add_hline(y=ends_at, line={"color": REST, "width": 1, "dash": "dash"})
    figure.update_xaxes(gridcolor=GRID, zeroline=False, range=_reach(series))
    figure.update_yaxes(title=plain(label), gridcolor=GRID, zeroline=False, rangemode="tozero")
    return calm(figure, height=280, legend=len(series) <= 12)


def _reach(series: Sequence[Series]) -> list[datetime.datetime] | None:
    """Of time, at least a minute: an axis of two samples would be one of milliseconds. None: as it comes."""
    first, last = min(min(each.time) for each in series), max(max(each.time) for each in series)
    if last - first >= LEAST:
        return None
    ends = (first + last - LEAST) / 2, (first + last + LEAST) / 2
    return [datetime.datetime.fromtimestamp(at) for at in ends]


def by_class(kinds: Sequence[str], ended: Sequence[int], tried_again: Sequence[int]) -> go.Figure:
    """A bar a class of failure, what ended so beside what was gone on after."""
    if not kinds:
        return empty("Nothing has failed.", height=120)
    figure = go.Figure()
    for name, counts, colour in (
        ("trials ended so", ended, BAD),
        ("tried again", tried_again, COLOURS[1]),
    ):
        if not any(counts):
            continue
        figure.add_bar(
            y=[plain(kind, 40) for kind in kinds],
            x=list(counts),
            name=name,
            orientation="h",
            marker={"color": colour},
            hovertemplate="%{y}: %{x} " + name + "<extra></extra>",
        )
    figure.update_layout(barmode="stack")
    figure.update_yaxes(autorange="reversed", automargin=True, ticksuffix="  ")
    figure.update_xaxes(
        gridcolor=GRID, zeroline=False, rangemode="tozero", dtick=1 if max(ended) < 8 else None
    )
    return calm(figure, height=90 + 30 * len(kinds))
