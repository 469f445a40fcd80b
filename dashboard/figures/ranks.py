"""Where in the plane of two searched values do good results lie? Marks, coloured by their rank.

By rank, not by value: nothing is interpolated, and one that diverged does not take all colours.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy import stats

from dashboard.figures.parallel import BLUES
from dashboard.figures.scatter import WITHOUT_RESULT, places_of, strips, strips_of
from dashboard.figures.states import hovers, mark, thinned
from dashboard.figures.style import CLEAR, GRID, calm, empty, plain

IRRATIONAL = {"x": 2**0.5 - 1, "y": (5**0.5 - 1) / 2}  # their multiples, by the axis they spread marks along


def ranks(rows: pd.DataFrame, names: tuple[str, str], log: tuple[bool, bool] = (False, False)) -> go.Figure:
    """names: across and up. log: of their axes, where these are numbers.

    Columns: both, state, val_ppl, hover.
    """
    rows = rows[rows[list(names)].notna().all(axis=1)]
    rows = thinned(rows.reset_index(drop=True), "val_ppl")
    value = rows["val_ppl"].to_numpy(float)
    known, ended = np.isfinite(value), rows["state"].isin(WITHOUT_RESULT).to_numpy()
    if not known.any():
        return empty("No evaluated configuration has both values.")
    figure = go.Figure()
    across, up = (
        _axis(figure, rows[name], name, which, logged)
        for name, which, logged in zip(names, "xy", log, strict=True)
    )
    rank = (stats.rankdata(value[known]) - 1) / max(int(known.sum()) - 1, 1)
    lost = ~known & ended
    if lost.any():
        figure.add_scatter(
            x=across[lost],
            y=up[lost],
            mode="markers",
            name="no result",
            marker=mark("failed"),
            **hovers(rows[lost]),
        )
    order = np.argsort(-rank, kind="stable")  # the best is drawn last, on top
    best_last = np.flatnonzero(known)[order]
    figure.add_scatter(
        x=across[best_last],
        y=up[best_last],
        mode="markers",
        name="evaluated",
        marker={
            "size": 12 - 4 * (len(rows) > 200),
            "color": rank[order],
            "cmin": 0,
            "cmax": 1,
            "colorscale": [list(stop) for stop in BLUES],
            "line": {"width": 1, "color": CLEAR},
            "symbol": [
                "triangle-down" if state == "pruned" else "circle" for state in rows["state"].iloc[best_last]
            ],
            "colorbar": {
                "title": "val_ppl",
                "tickvals": [0, 0.5, 1],
                "ticktext": ["best", "middle", "worst"],
                "thickness": 12,
            },
        },
        **hovers(rows.iloc[best_last]),
    )
    return calm(figure, height=480, legend=bool(lost.any()))


def _axis(figure: go.Figure, values: pd.Series, name: str, which: str, log: bool) -> np.ndarray:
    """Sets the axis; where on it the rows stand."""
    update = figure.update_xaxes if which == "x" else figure.update_yaxes
    update(title=plain(name), gridcolor=GRID, zeroline=False)
    if (places := strips_of(values)) is not None:
        update(**strips(places))
        return places_of(values, places, IRRATIONAL[which]).to_numpy()
    if log and values.min() > 0:
        update(type="log", exponentformat="e")
    return values.to_numpy(float)
