"""How far is each row above the first, and how surely? Of perplexity; or as the rows' own values."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.intervals import LEAST, MARKS
from dashboard.figures.ranges import span
from dashboard.figures.style import GRID, REST, TIED, bars, calm, empty, hover_lines, places, plain
from dashboard.words import STANDINGS
from trainer.metrics import BY_NAME

MATTERS_NOT = "rgba(47, 116, 173, 0.10)"  # the band of differences that are as good as none


def differences(rows: pd.DataFrame, within: float | None = None, most: int = 30) -> go.Figure:
    """In the order of the rows, the first at 0; beside it each one's chance of being the best, where known.

    Columns: label, why, difference and margin (nats per token; NaN: not known), p_best (NaN: not known),
    hover. within: share of perplexity that is as good as nothing, shaded.
    """
    rows = rows[np.isfinite(rows["difference"])].head(most)
    if rows.empty:
        return empty("No differences yet: nothing is ranked.")
    figure = go.Figure()
    if within:
        band = {"x0": -100 * within, "x1": 100 * within, "fillcolor": MATTERS_NOT}
        figure.add_vrect(**band, line_width=0, layer="below")
    figure.add_vline(x=0, line={"color": TIED, "width": 1, "dash": "dot"}, layer="below")
    nats, is_first = rows["difference"].to_numpy(float), (rows["why"] == "best").to_numpy()
    margin = np.where(is_first, np.nan, rows["margin"].to_numpy(float))  # of itself to itself there is none
    value, low, high = (100 * np.expm1(np.minimum(x, 700)) for x in (nats, nats - margin, nats + margin))
    _marks(figure, rows, value, low, high, _said(nats, margin))
    if np.isfinite(rows["p_best"].to_numpy(float)).any():
        _chances(figure, rows)
    places(figure, rows["label"])
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    title = "above the first, % of perplexity (95%, all pairs at once)"
    figure.update_layout(xaxis=_reach(value, low, high, 100 * LEAST, title))
    return calm(figure, height=104 + 26 * len(rows))


def absolute(rows: pd.DataFrame, most: int = 30) -> go.Figure:
    """val_ppl with its 95% interval: how surely a row is what it is, not how surely it is above another.

    Columns: label, why, ppl, low, high (NaN: not known), hover.
    """
    rows = rows[np.isfinite(rows["ppl"])].head(most)
    if rows.empty:
        return empty("No evaluation yet.")
    figure = go.Figure()
    value, low, high = (rows[name].to_numpy(float) for name in ("ppl", "low", "high"))
    _marks(figure, rows, value, low, high, [f"{ppl:,.4g}" for ppl in value])
    places(figure, rows["label"])
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    title = f"{BY_NAME['val_ppl'].label}, 95% interval"
    figure.update_layout(xaxis=_reach(value, low, high, LEAST * np.median(value), title))
    return calm(figure, height=104 + 26 * len(rows))


def _marks(
    figure: go.Figure,
    rows: pd.DataFrame,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    said: Sequence[str],
) -> None:
    """Each row's value and bar, by what it is to the first: in the leaderboard's words. Hollow where an error
    is not known."""
    place = np.arange(len(rows))  # labels may be equal: a place of its own for every row
    known = (rows["why"] == "best").to_numpy() | (np.isfinite(low) & np.isfinite(high))
    hover = [f"{hover_lines(text)}<br>{plain(more)}" for text, more in zip(rows["hover"], said, strict=True)]
    for why, name in STANDINGS.items():
        chosen, (colour, _) = (rows["why"] == why).to_numpy(), MARKS[name]
        if not chosen.any():
            continue
        figure.add_scatter(
            x=value[chosen],
            y=place[chosen],
            error_x=bars(value[chosen], low[chosen], high[chosen], colour),
            mode="markers",
            name=name,
            marker={
                "size": 9,
                "color": colour,
                "symbol": np.where(known[chosen], "circle", "circle-open"),
                "line": {"width": 1.5, "color": colour},
            },
            customdata=np.array(hover, object)[chosen],
            hovertemplate="%{customdata}<extra></extra>",
        )


def _reach(value: np.ndarray, low: np.ndarray, high: np.ndarray, least: float, title: str) -> dict[str, Any]:
    """The axis of values, as far as they may be believed: a row that has diverged flattens no other."""
    seen = span(value, low, high, least)
    return {"title": title} if seen is None else {"title": title + seen.words, "range": seen.ends}


def _chances(figure: go.Figure, rows: pd.DataFrame) -> None:
    """Of being the best, on an axis of their own at the right."""
    chances = rows["p_best"].to_numpy(float)
    figure.add_bar(
        x=chances,
        y=np.arange(len(rows)),
        orientation="h",
        width=0.5,
        xaxis="x2",
        showlegend=False,
        marker={"color": [REST if why == "" else TIED for why in rows["why"]]},
        text=[_chance(each) for each in chances],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="chance of being the best: %{x:.3f}<extra></extra>",
    )
    figure.update_layout(
        xaxis={"domain": [0, 0.78]},
        xaxis2={"domain": [0.83, 1], "range": [0, 1.25], "tickvals": [0, 0.5, 1], "title": "P(best)"},
    )


def _chance(chance: float) -> str:
    """Two digits are known."""
    if np.isnan(chance):
        return ""
    return ">.99" if chance >= 0.995 else "<.01" if chance < 0.005 else f"{chance:.2f}".lstrip("0")


def _said(nats: np.ndarray, margin: np.ndarray) -> list[str]:
    return [
        f"{d:+.4f} nats per token" + (f"; counts from {m:.4f} on" if np.isfinite(m) else "")
        for d, m in zip(nats, margin, strict=True)
    ]
