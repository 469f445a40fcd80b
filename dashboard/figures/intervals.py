"""Which configurations are better, and how surely? val_ppl with its 95% interval, a line each."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.style import BEST, CLEAR, GRID, REST, TIED, bars, calm, empty, hover_lines, plain
from trainer.metrics import BY_NAME

TIED_BAND = "rgba(47, 116, 173, 0.10)"


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
        edge = {"width": 1, "color": CLEAR} if symbol == "circle" else {"width": 1.5}
        figure.add_scatter(
            x=value,
            y=place[chosen],
            error_x=bars(
                value, part["val_ppl_low"].to_numpy(float), part["val_ppl_high"].to_numpy(float), colour
            ),
            mode="markers",
            name=name,
            marker={"size": 9, "color": colour, "symbol": symbol, "line": edge},
            customdata=[hover_lines(text) for text in part["hover"]],
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
        tickcolor=CLEAR,
    )
    figure.update_xaxes(title=f"{BY_NAME['val_ppl'].label}, 95% interval", gridcolor=GRID, zeroline=False)
    return calm(figure, height=96 + 24 * len(rows))
