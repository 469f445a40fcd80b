"""How does val_ppl go with one searched value? A scatter, or strips."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.axes import Axis, may_be_log, robust
from dashboard.figures.states import by_state, hovers, mark, thinned
from dashboard.figures.style import COLOURS, GRID, bars, calm, empty, plain
from dashboard.values import is_number
from trainer.metrics import BY_NAME

FEW = 8  # distinct numbers that are drawn as categories
MOST_POINTS = 1000  # of one figure, of which a page has several
MOST_BARS = 60  # configurations whose intervals are drawn
WITHOUT_RESULT = ("pruned", "failed", "stopped", "lost")  # ended; drawn at the edge where it has no value


def against(
    rows: pd.DataFrame, name: str, colour_by: str | None = None, log: bool = False, log_x: bool = False
) -> go.Figure:
    """val_ppl against one searched value: a scatter for numbers, strips for categories and few numbers.

    Columns: the value's name, state, val_ppl, val_ppl_low, val_ppl_high, hover, and colour_by where given.
    Values that are far beyond the others, and what ended without one, stand at the upper edge.
    log: of val_ppl's axis. log_x: of the value's, where that is a scatter and all of them are positive.
    """
    few = len(rows) <= MOST_BARS
    value = rows["val_ppl"].astype(float)
    axis = val_axis(rows, log, few)  # of all rows: figures of several names beside each other have one
    rows = rows[rows[name].notna() & (np.isfinite(value) | rows["state"].isin(WITHOUT_RESULT))]
    if not np.isfinite(rows["val_ppl"].astype(float)).any():
        return empty("No evaluated configuration has this value.")
    rows = thinned(rows, "val_ppl", MOST_POINTS)
    places = strips_of(rows[name])
    across = places_of(rows[name], places)
    figure = go.Figure()
    groups = (
        [("", rows)]
        if not colour_by
        else sorted(rows.groupby(rows[colour_by].astype(str)), key=lambda pair: pair[0])
    )
    for i, (group, members) in enumerate(groups):
        for state, part in by_state(members):
            value = part["val_ppl"].to_numpy(float)
            marker = mark(state, COLOURS[i % len(COLOURS)] if colour_by else None)
            inside = np.isfinite(value) & (value <= axis.high)
            low, high = (part[f"val_ppl_{end}"].to_numpy(float) for end in ("low", "high"))
            figure.add_scatter(
                x=across[part.index].to_numpy(),
                y=axis.placed(value),
                error_y=bars(
                    value, np.where(inside, low, np.nan), np.where(inside, high, np.nan), marker["color"], 0.8
                )
                if few
                else None,
                mode="markers",
                name=plain(f"{group} {'' if state == 'complete' and group else state}".strip(), 40),
                marker=marker,
                **hovers(part),
            )
    figure.update_xaxes(title=plain(name), gridcolor=GRID, zeroline=False)
    if places is not None:
        figure.update_xaxes(**strips(places))
    elif log_x and may_be_log(rows[name].to_numpy(float)):
        figure.update_xaxes(type="log", exponentformat="e")
    figure.update_yaxes(title=BY_NAME["val_ppl"].label, gridcolor=GRID, zeroline=False, **axis.layout)
    return calm(figure, height=340, legend=len(figure.data) > 1)


def val_axis(rows: pd.DataFrame, log: bool, intervals: bool) -> Axis:
    """Of val_ppl; with room for the intervals, where they are drawn."""
    value = rows["val_ppl"].to_numpy(float)
    axis = robust(value, log)
    if not intervals:
        return axis
    ends = rows.loc[value <= axis.high, ["val_ppl_low", "val_ppl_high"]].to_numpy(float)
    ends = ends[np.isfinite(ends).all(axis=1)]
    if not len(ends):
        return axis
    low, high = min(axis.low, ends[:, 0].min()), max(axis.high, robust(ends[:, 1]).high)
    above = int(np.sum(np.isfinite(value) & (value > high)))
    return axis._replace(low=float(low), high=float(high), log=axis.log and low > 0, above=above)


def strips_of(values: pd.Series) -> list[str] | None:
    """Categories, and few numbers: whole ones, or such as stand twice each. None: a scatter.

    A continuous value of few trials is no category, though its baselines share one."""
    numeric = is_number(values)
    distinct = sorted(set(values), key=lambda value: value if numeric else str(value))
    if numeric:
        usual = 2 * len(distinct) <= len(values) or all(float(value).is_integer() for value in distinct)
        if len(distinct) > FEW or not usual:
            return None
    return [str(value) for value in distinct]


def places_of(values: pd.Series, places: list[str] | None, mixed: float = 0.0) -> pd.Series:
    """Where marks stand: at their values, or side by side in the strip of theirs, in their order.

    mixed: an irrational number, by whose multiples they are put into no order: none is seen then that means
    nothing. Two axes take two numbers.
    """
    if places is None:
        return values.astype(float)
    index = np.array([places.index(str(each)) for each in values])
    if not mixed:
        return pd.Series(index + _side_by_side(index), index=values.index)
    order = np.argsort((np.arange(len(index)) * mixed) % 1)
    offset = np.empty(len(index))
    offset[order] = _side_by_side(index[order])
    return pd.Series(index + offset, index=values.index)


def strips(places: list[str]) -> dict:
    """Settings of an axis that has a strip for each of these."""
    ticks = {"tickvals": list(range(len(places))), "ticktext": [plain(place, 30) for place in places]}
    return {**ticks, "showgrid": False, "range": [-0.6, len(places) - 0.4]}


def _side_by_side(strip: np.ndarray) -> np.ndarray:
    """Offsets that spread the points of every strip evenly about its middle, in their order."""
    offset = np.zeros(len(strip))
    for place in np.unique(strip):
        mine = np.flatnonzero(strip == place)
        width = min(0.7, 0.12 * (len(mine) - 1))
        offset[mine] = np.linspace(-width / 2, width / 2, len(mine))
    return offset
