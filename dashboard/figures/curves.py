"""Lines: how metrics went over steps, and what a noise schedule does at each masking rate."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from dashboard.figures.lines import finetune_window, seen, thinned
from dashboard.figures.style import COLOURS, GRID, REST, Line, calm, empty, named, plain

DASHES = ("solid", "dot", "dash", "dashdot", "longdash")
FAINT = 0.25  # opacity of what was smoothed
BAND = 0.18
LEGEND_ROW = 26  # pixels
MOST_NAMED = 8  # lines that stand in a legend each by itself: of more, their groups


class Panel(NamedTuple):
    """One metric. Of the lines, a group below 0 is no configuration: a pretrain."""

    label: str
    unit: str
    lines: Sequence[Line]
    faint: Sequence[Line] = ()  # the same before they were smoothed


class Axes(NamedTuple):
    x: str = "step"
    log_x: bool = False
    log_y: bool = False
    start: float | None = None  # where the finetune phase begins: marked by a thin line


def curves(
    lines: Sequence[Line], label: str, unit: str = "", log: bool = False, start: float | None = None
) -> go.Figure:
    """One metric over steps."""
    return multiples([Panel(label, unit, lines)], Axes(log_y=log, start=start))


def multiples(
    panels: Sequence[Panel], axes: Axes, height: int = 340, columns: int | None = None
) -> go.Figure:
    """A small plot for each metric, side by side: zoomed together, and one legend for all.

    A configuration has one colour, a seed of it one dash. What has diverged is off the axis, which says so;
    of a long pretrain its end is in view at first, so that what branches from it has half of the width.
    height: of a row of plots.
    """
    shown = [each for each in panels if any(len(line.x) for line in each.lines)]
    if not panels:
        return empty("No row has been reported yet.")
    if not shown:
        return empty(f"No {', '.join(each.label for each in panels)} stored for what is chosen.")
    columns = columns or (1 if len(shown) == 1 else 2 if len(shown) in (2, 4) else 3)
    rows = -(-len(shown) // columns)
    figure = make_subplots(
        rows, columns, horizontal_spacing=0.1, vertical_spacing=min(0.12, 0.5 / rows) if rows > 1 else 0.0
    )
    every = [line for each in shown for line in each.lines]
    looks = _looks(every)
    by_group = len(looks) > MOST_NAMED
    window = finetune_window(every, axes.start) if axes.start is not None and not axes.log_x else None
    told: set[str] = set()
    for i, each in enumerate(shown):
        place = {"row": i // columns + 1, "col": i % columns + 1}
        for line in each.faint:
            _draw(figure, line, looks, axes, place, told, by_group, faint=True)
        for line in each.lines:
            _draw(figure, line, looks, axes, place, told, by_group)
        last = i + columns >= len(shown)
        figure.update_xaxes(title=axes.x if last else None, matches="x" if i else None, **place)
        figure.update_yaxes(title=plain(f"{each.label}, {each.unit}" if each.unit else each.label), **place)
        _bound(figure, each.lines, axes.log_y, window, place)
        if axes.start is not None and (axes.start > 0 or not axes.log_x):
            _mark(figure, axes, place)
    figure.update_xaxes(gridcolor=GRID, zeroline=False, type="log" if axes.log_x else "linear")
    figure.update_yaxes(gridcolor=GRID, zeroline=False, type="log" if axes.log_y else "linear")
    if window is not None:
        room = 0.03 * (window[1] - window[0])
        figure.update_xaxes(range=[window[0], window[1] + room])
    legend = LEGEND_ROW * -(-len(told) // 4) if len(looks) > 1 else 0
    return calm(figure, height=height * rows + legend, legend=bool(legend))


Looks = Mapping[tuple[int, str], tuple[str, str]]  # (group, label): colour and dash


def _looks(lines: Iterable[Line]) -> Looks:
    """The same in every panel, whichever lines one of them has."""
    names = list(dict.fromkeys((line.group, line.label) for line in lines))
    groups = [group for group in dict.fromkeys(group for group, _ in names) if group >= 0]
    drawn: dict[int, int] = {}
    looks = {}
    for group, label in names:
        colour = REST if group < 0 else COLOURS[groups.index(group) % len(COLOURS)]
        drawn[group] = drawn.get(group, -1) + 1
        looks[group, label] = colour, DASHES[drawn[group] % len(DASHES)]
    return looks


def _draw(
    figure: go.Figure,
    line: Line,
    looks: Looks,
    axes: Axes,
    place: dict[str, int],
    told: set[str],
    by_group: bool,
    faint: bool = False,
) -> None:
    """told: names that stand in the legend already. by_group: a name for all lines of a group."""
    line = thinned(line)
    colour, dash = looks[line.group, line.label]
    y = np.asarray(line.y, float)
    called = line.of if by_group and line.of else line.label
    name = f"{line.group} {called}"
    shared: dict[str, Any] = {"name": plain(called, 60), "legendgroup": plain(name), **place}
    if line.low is not None and line.high is not None:
        x = np.asarray(line.x)
        figure.add_scatter(
            x=np.concatenate([x, x[::-1]]),
            y=np.concatenate([line.high, line.low[::-1]]),
            fill="toself",
            fillcolor=_clear(colour),
            line={"width": 0},
            mode="lines",
            hoverinfo="skip",
            showlegend=False,
            **shared,
        )
    figure.add_scatter(
        x=np.asarray(line.x),
        y=np.where(np.isfinite(y), y, np.nan),
        mode="lines+markers" if len(line.x) <= 40 and not faint else "lines",
        line={"color": colour, "width": 1 if faint else 2, "dash": dash},
        marker={"size": 5 if len(line.x) > 1 else 9},
        opacity=FAINT if faint else 1,
        hoverinfo="skip" if faint else None,
        hovertemplate=None if faint else named(f"{axes.x} %{{x:,.7~g}}: %{{y:.5g}}", line.label),
        showlegend=not faint and name not in told,
        **shared,
    )
    if not faint:
        told.add(name)


def _clear(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {BAND})"


def _bound(
    figure: go.Figure,
    lines: Sequence[Line],
    log: bool,
    window: tuple[float, float] | None,
    place: dict[str, int],
) -> None:
    """The axis of values, where not all of them are seen."""
    found = seen(lines, window)
    if found is None or (log and found.low <= 0):
        return
    low, high = np.log10(found[:2]) if log else found[:2]
    room = 0.05 * (high - low) or abs(high) or 1.0
    figure.update_yaxes(range=[low - room, high + room], **place)
    if not found.off:
        return
    figure.add_annotation(
        text=f"{' and '.join(found.off)} is off the axis",
        showarrow=False,
        font={"size": 11},
        **{"x": 0, "xref": "x domain", "xanchor": "left", "y": 0, "yref": "y domain", "yanchor": "bottom"},
        **place,
    )


def _mark(figure: go.Figure, axes: Axes, place: dict[str, int]) -> None:
    """Where the finetune begins."""
    assert axes.start is not None
    figure.add_vline(x=axes.start, line={"color": REST, "width": 1, "dash": "dash"}, **place)
    figure.add_annotation(
        text=" finetune",
        showarrow=False,
        font={"size": 11},
        x=np.log10(axes.start) if axes.log_x else axes.start,
        **{"y": 1, "yref": "y domain", "xanchor": "left", "yanchor": "top"},
        **place,
    )


class Plot(NamedTuple):
    """A small line plot of a schedule's property, over [0, 1]."""

    lines: Sequence[Line]
    x: str
    y: str
    log: bool = False
    title: str = ""
    words: str = ""


def panel(lines: Sequence[Line], x: str, y: str, log: bool = False, legend: bool = False) -> go.Figure:
    """One by itself."""
    figure = go.Figure()
    _plot(figure, Plot(lines, x, y, log), {})
    return _with_margins(calm(figure, height=300, legend=legend), top=36 if legend else 12)


def pairs(plots: Sequence[Plot], legend: bool = False) -> go.Figure:
    """Two in a row, each under its title: one figure, for a browser pays for each that it starts.

    legend: one for all, of the first one's lines.
    """
    titles = [f"<b>{plain(each.title)}</b><br>{plain(each.words)}" for each in plots]
    rows = -(-len(plots) // 2)
    figure = make_subplots(
        rows, 2, subplot_titles=titles, horizontal_spacing=0.1, vertical_spacing=0.36 / rows
    )
    for i, each in enumerate(plots):
        place = {"row": i // 2 + 1, "col": i % 2 + 1}
        _plot(figure, each, place, in_legend=i == 0)
        left = next(figure.select_xaxes(**place)).domain[0]
        figure.layout.annotations[i].update(x=left, xanchor="left", align="left", font_size=13)
    calm(figure, height=380 * rows + LEGEND_ROW * legend, legend=legend)
    figure.update_layout(legend_y=1 + 48 / (380 * rows))  # above the titles
    return _with_margins(figure, top=56 + LEGEND_ROW * legend)


def _plot(figure: go.Figure, plot: Plot, place: dict[str, int], in_legend: bool = True) -> None:
    groups = list(dict.fromkeys(line.group for line in plot.lines))
    for line in plot.lines:
        y_values = np.asarray(line.y, float)
        figure.add_scatter(
            x=np.asarray(line.x, float),
            y=np.where(np.isfinite(y_values), y_values, np.nan),
            mode="lines",
            name=plain(line.label, 60),
            legendgroup=plain(f"{line.group} {line.label}"),
            showlegend=in_legend,
            line={"color": COLOURS[groups.index(line.group) % len(COLOURS)], "width": 2},
            hovertemplate=named("%{x:.3f}: %{y:.4g}", line.label),
            **place,
        )
    figure.update_xaxes(title=plot.x, range=[-0.02, 1.02], gridcolor=GRID, zeroline=False, **place)
    figure.update_yaxes(title=plot.y, gridcolor=GRID, zeroline=False, **place)
    # From zero, or a flat density's last digits would fill the plot.
    figure.update_yaxes(type="log" if plot.log else "linear", rangemode="tozero", **place)
    if plot.log:
        figure.update_yaxes(dtick="D2", **place)  # 1, 2 and 5 of a decade


def _with_margins(figure: go.Figure, top: int) -> go.Figure:
    """That are known: a browser that has to find them draws the axes twice."""
    figure.update_xaxes(automargin=False).update_yaxes(automargin=False)
    return figure.update_layout(margin={"l": 64, "b": 48, "t": top})
