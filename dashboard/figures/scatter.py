"""How does val_ppl go with one searched value? A scatter, or strips."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.style import CLEAR, COLOURS, GRID, bars, calm, empty, hover_lines, plain
from dashboard.values import is_number
from trainer.metrics import BY_NAME

FEW = 8  # distinct numbers that are drawn as categories


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
            error_y=bars(
                value, part["val_ppl_low"].to_numpy(float), part["val_ppl_high"].to_numpy(float), colour, 0.8
            ),
            mode="markers",
            name=plain(group, 40),
            marker={"size": 8, "color": colour, "opacity": 0.85, "line": {"width": 1, "color": CLEAR}},
            customdata=[hover_lines(text) for text in part["hover"]],
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
        title=BY_NAME["val_ppl"].label, gridcolor=GRID, zeroline=False, type="log" if log else "linear"
    )
    return calm(figure, height=430, legend=len(groups) > 1)


def _side_by_side(strip: np.ndarray) -> np.ndarray:
    """Offsets that spread the points of every strip evenly about its middle, in their order."""
    offset = np.zeros(len(strip))
    for place in np.unique(strip):
        mine = np.flatnonzero(strip == place)
        width = min(0.7, 0.12 * (len(mine) - 1))
        offset[mine] = np.linspace(-width / 2, width / 2, len(mine))
    return offset
