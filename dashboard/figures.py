"""Plotly figures from plain data: no Streamlit, no store. Every stored string passes through `plain`."""

import html
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

INK, BEST, TIED, REST, GRID = "#1D2731", "#245E8C", "#86AECB", "#B9C1CA", "#E9EDF1"
TIED_BAND = "rgba(36, 94, 140, 0.07)"
COLOURS = ("#245E8C", "#C9762B", "#3B8A6E", "#9B4A6B", "#6A63A6", "#8C7A2F", "#4B9CC2", "#77808A")
BLUES = ((0.0, "#123B5D"), (0.35, "#3B7DAB"), (0.7, "#9CC0D8"), (1.0, "#C9D3DD"))  # low is good: dark
MOST_LINES = 500  # of parallel coordinates: beyond it a plot is slow and unreadable
FEW = 8  # distinct numbers that are drawn as categories
MOST_POINTS = 2000  # of one curve
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
}  # Plotly's toolbar


class Line(NamedTuple):
    """One curve. `group` decides its colour, so that the seeds of a configuration look alike."""

    label: str
    group: int
    x: Sequence[float] | np.ndarray
    y: Sequence[float] | np.ndarray


def plain(text: object, most: int = 80) -> str:
    """A stored value as text that Plotly cannot read as markup (it renders <a>, <b> and entities)."""
    words = str(text)
    return html.escape(words if len(words) <= most else words[: most - 1] + "…")


def number(value: float | None) -> str:
    """Four significant digits; thousands and more without an exponent."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:#.4g}".rstrip(".")


def interval(low: float | None, high: float | None) -> str:
    if low is None or high is None or not (np.isfinite(low) and np.isfinite(high)):
        return "–"
    return f"[{number(low)}, {number(high)}]"


def empty(sentence: str, height: int = 240) -> go.Figure:
    figure = go.Figure().add_annotation(
        text=plain(sentence, 200), showarrow=False, font={"size": 14, "color": "#5B6875"}
    )
    figure.update_layout(
        xaxis_visible=False, yaxis_visible=False, height=height, margin={"l": 0, "r": 0, "t": 0, "b": 0}
    )
    return figure


def intervals(rows: pd.DataFrame, most: int = 30) -> go.Figure:
    """val_ppl with its 95% interval, in the order of the rows; the lowest's own interval is shaded.

    Columns: label, rank ('' where there is none), why, val_ppl, val_ppl_low, val_ppl_high, hover.
    """
    rows = rows[np.isfinite(rows["val_ppl"])].head(most)
    if rows.empty:
        return empty("No evaluation yet.")
    figure = go.Figure()
    place = np.arange(len(rows))  # labels may be equal: a place of its own for every row
    lowest, ranked = rows["why"] == "best", rows["rank"] != ""
    tied = rows["why"].isin(("one seed", "within the error"))
    for _, best in rows[lowest].iterrows():
        band = {"x0": best["val_ppl_low"], "x1": best["val_ppl_high"], "fillcolor": TIED_BAND}
        figure.add_vrect(**band, line_width=0, layer="below")
        figure.add_vline(x=best["val_ppl"], line={"color": TIED, "width": 1, "dash": "dot"}, layer="below")
    kinds = (
        ("lowest", lowest, BEST, "circle"),
        ("tied with it", tied, TIED, "circle"),
        ("behind", ranked & ~lowest & ~tied, REST, "circle"),
        ("not ranked", ~ranked, REST, "circle-open"),
    )
    for name, chosen, colour, symbol in kinds:
        part = rows[chosen]
        if part.empty:
            continue
        value = part["val_ppl"].to_numpy(float)
        edge = {"width": 1, "color": "white"} if symbol == "circle" else {"width": 1.5}
        figure.add_scatter(
            x=value,
            y=place[chosen],
            error_x=_bars(
                value, part["val_ppl_low"].to_numpy(float), part["val_ppl_high"].to_numpy(float), colour
            ),
            mode="markers",
            name=name,
            marker={"size": 9, "color": colour, "symbol": symbol, "line": edge},
            customdata=[_lines(text) for text in part["hover"]],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_yaxes(
        tickvals=place,
        ticktext=[plain(label, 60) for label in rows["label"]],
        range=[len(rows) - 0.4, -0.6],
        zeroline=False,
        tickfont={"size": 12},
        showgrid=False,
        automargin=True,
        ticksuffix="  ",
        tickcolor="white",
    )
    figure.update_xaxes(title="PPL (valid, upper bound), 95% interval", gridcolor=GRID, zeroline=False)
    return _calm(figure, height=96 + 24 * len(rows))


def curves(
    lines: Sequence[Line], label: str, unit: str = "", log: bool = False, start: int | None = None
) -> go.Figure:
    """A metric over steps. `start`: where the finetune phase begins, marked by a thin line."""
    if not any(len(line.x) for line in lines):
        return empty(f"No {label} stored for what is chosen.")
    figure = go.Figure()
    groups = list(dict.fromkeys(line.group for line in lines))
    drawn: dict[int, int] = {}
    for line in lines:
        colour = COLOURS[groups.index(line.group) % len(COLOURS)]
        dash = ("solid", "dot", "dash", "dashdot", "longdash")[drawn.setdefault(line.group, 0) % 5]
        drawn[line.group] += 1
        figure.add_scatter(
            x=np.asarray(line.x)[-MOST_POINTS:],
            y=np.asarray(line.y, float)[-MOST_POINTS:],
            mode="lines+markers" if len(line.x) <= 40 else "lines",
            name=plain(line.label, 60),
            line={"color": colour, "width": 2, "dash": dash},
            marker={"size": 5 if len(line.x) > 1 else 9},
            hovertemplate="step %{x:,}: %{y:.5g}<extra>"
            + plain(line.label, 60).replace("%", "&#37;")
            + "</extra>",
        )
    if start:
        figure.add_vline(x=start, line={"color": REST, "width": 1, "dash": "dash"})
        figure.add_annotation(
            x=start,
            y=1,
            yref="paper",
            text=" finetune",
            xanchor="left",
            showarrow=False,
            font={"size": 11, "color": "#77808A"},
        )
    figure.update_xaxes(title="step", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(
        title=plain(f"{label}, {unit}" if unit else label),
        gridcolor=GRID,
        zeroline=False,
        type="log" if log else "linear",
    )
    return _calm(figure, height=340, legend=len(lines) > 1)


def against(rows: pd.DataFrame, name: str, colour_by: str | None = None, log: bool = False) -> go.Figure:
    """val_ppl against one searched value: a scatter for numbers, strips for categories and few numbers.

    Columns: the value's name, val_ppl, val_ppl_low, val_ppl_high, hover, and colour_by where given.
    """
    rows = rows[rows[name].notna() & np.isfinite(rows["val_ppl"].astype(float))]
    if rows.empty:
        return empty("No evaluated configuration has this value.")
    numeric = is_number(rows[name])
    distinct = sorted(set(rows[name]), key=lambda value: value if numeric else str(value))
    places = [str(value) for value in distinct] if not numeric or len(distinct) <= FEW else None
    figure = go.Figure()
    groups = (
        [("", rows)]
        if not colour_by
        else sorted(rows.groupby(rows[colour_by].astype(str)), key=lambda pair: pair[0])
    )
    for i, (group, part) in enumerate(groups):
        value = part["val_ppl"].to_numpy(float)
        if places is None:
            x = part[name].to_numpy(float)
        else:  # points of a strip stand side by side
            index = np.array([places.index(str(each)) for each in part[name]])
            x = index + _side_by_side(index)
        colour = COLOURS[i % len(COLOURS)]
        figure.add_scatter(
            x=x,
            y=value,
            error_y=_bars(
                value, part["val_ppl_low"].to_numpy(float), part["val_ppl_high"].to_numpy(float), colour, 0.8
            ),
            mode="markers",
            name=plain(group, 40),
            marker={"size": 8, "color": colour, "opacity": 0.85, "line": {"width": 1, "color": "white"}},
            customdata=[_lines(text) for text in part["hover"]],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_xaxes(title=plain(name), gridcolor=GRID, zeroline=False)
    if places is not None:
        figure.update_xaxes(
            tickvals=list(range(len(places))),
            ticktext=[plain(place, 30) for place in places],
            showgrid=False,
            range=[-0.6, len(places) - 0.4],
        )
    figure.update_yaxes(
        title="PPL (valid, upper bound)", gridcolor=GRID, zeroline=False, type="log" if log else "linear"
    )
    return _calm(figure, height=430, legend=len(groups) > 1)


def parallel(rows: pd.DataFrame, names: Sequence[str], labels: Sequence[str]) -> go.Figure:
    """Searched values and val_ppl as parallel axes, at most MOST_LINES configurations, the best first.

    A configuration that lacks a value (a conditional one) passes through a place of its own below the axis.
    """
    rows = rows[np.isfinite(rows["val_ppl"].astype(float))].sort_values("val_ppl").head(MOST_LINES)
    if rows.empty or not names:
        return empty("No evaluated configuration yet.")
    ppl = rows["val_ppl"].to_numpy(float)
    axes = [_axis(rows[name], label) for name, label in zip(names, labels, strict=True)]
    axes.append({"label": "val_ppl", "values": ppl, "tickformat": ".4~g"})
    # The colour follows the rank's quantiles: one diverged run must not turn all others into one shade.
    shade = np.searchsorted(np.sort(ppl), ppl) / max(len(ppl) - 1, 1)
    figure = go.Figure(
        go.Parcoords(
            line={"color": shade[::-1], "colorscale": [list(stop) for stop in BLUES], "showscale": False},
            dimensions=[
                {**axis, "values": axis["values"][::-1]} for axis in axes
            ],  # the best is drawn last, on top
            labelfont={"size": 12, "color": INK},
            tickfont={"size": 11, "color": "#4A5764"},
            rangefont={"size": 1, "color": "rgba(0,0,0,0)"},
            labelangle=-12,
            labelside="top",
        )
    )
    figure.update_layout(height=460, margin={"l": 70, "r": 60, "t": 90, "b": 24})
    return figure


def panel(lines: Sequence[Line], x: str, y: str, log: bool = False, legend: bool = False) -> go.Figure:
    """A small line plot of a schedule's property."""
    figure = go.Figure()
    groups = list(dict.fromkeys(line.group for line in lines))
    for line in lines:
        y_values = np.asarray(line.y, float)
        figure.add_scatter(
            x=np.asarray(line.x, float),
            y=np.where(np.isfinite(y_values), y_values, np.nan),
            mode="lines",
            name=plain(line.label, 60),
            line={"color": COLOURS[groups.index(line.group) % len(COLOURS)], "width": 2},
            hovertemplate="%{x:.3f}: %{y:.4g}<extra>"
            + plain(line.label, 60).replace("%", "&#37;")
            + "</extra>",
        )
    figure.update_xaxes(title=x, range=[-0.02, 1.02], gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title=y, gridcolor=GRID, zeroline=False, type="log" if log else "linear")
    figure.update_yaxes(rangemode="tozero")  # or a flat density's last digits would fill the plot
    return _calm(figure, height=300, legend=legend)


def is_number(values: pd.Series) -> bool:
    """All present values are numbers (True and False are categories)."""
    present = [value for value in values if not _missing(value)]
    return bool(present) and all(
        isinstance(v, int | float | np.number) and not isinstance(v, bool | np.bool_) for v in present
    )


def _lines(text: str) -> str:
    return "<br>".join(plain(line) for line in text.splitlines()[:24])


def _missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and value != value)


def _bars(value: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, width: float = 1.6) -> dict:
    """Asymmetric error bars; none where an interval is not known."""
    up, down = (np.where(np.isfinite(arm), arm, np.nan) for arm in (high - value, value - low))
    bars = {"type": "data", "symmetric": False, "array": up, "arrayminus": down}
    return {**bars, "color": colour, "thickness": width, "width": 3}


def _side_by_side(strip: np.ndarray) -> np.ndarray:
    """Offsets that spread the points of every strip evenly about its middle, in their order."""
    offset = np.zeros(len(strip))
    for place in np.unique(strip):
        mine = np.flatnonzero(strip == place)
        width = min(0.7, 0.12 * (len(mine) - 1))
        offset[mine] = np.linspace(-width / 2, width / 2, len(mine))
    return offset


def _axis(values: pd.Series, name: str) -> dict:
    if is_number(values):
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
        present = numbers[np.isfinite(numbers)]
        low, high = float(present.min()), float(present.max())
        gap = (high - low or 1.0) * 0.15
        distinct = np.unique(present)
        ticks = distinct if len(distinct) <= 6 else np.linspace(low, high, 5)
        texts = [f"{tick:.3g}" for tick in ticks]
        if len(present) < len(numbers):
            numbers = np.where(np.isfinite(numbers), numbers, low - gap)
            ticks, texts = np.append(low - gap, ticks), ["none", *texts]
        return {"label": plain(name, 40), "values": numbers, "tickvals": list(ticks), "ticktext": texts}
    words = ["none" if _missing(value) else str(value) for value in values]
    places = sorted(set(words), key=lambda word: (word != "none", word))
    return {
        "label": plain(name, 40),
        "values": np.array([places.index(word) for word in words], float),
        "tickvals": list(range(len(places))),
        "ticktext": [plain(place, 24) for place in places],
    }


def _calm(figure: go.Figure, height: int, legend: bool = True) -> go.Figure:
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 12, "t": 36 if legend else 12, "b": 8},
        showlegend=legend,
        legend={
            "orientation": "h",
            "yanchor": "bottom",
            "y": 1.0,
            "xanchor": "left",
            "x": 0,
            "font": {"size": 12},
        },
        hoverlabel={"align": "left"},
        plot_bgcolor="white",
        paper_bgcolor="white",
        uirevision="keep",  # zoom and hidden lines survive a live redraw
    )
    return figure
