"""Which configurations are better, and how surely? Differences to the first, or each value; a line each."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.ranges import span
from dashboard.figures.style import BEST, CLEAR, GRID, REST, TIED, bars, calm, empty, hover_lines, places
from dashboard.words import NOT_RANKED, SEARCH_ONLY, STANDINGS
from trainer.metrics import BY_NAME

MOST = 30  # rows of a figure
LEAST = 0.1  # nats per token: a spread of perplexities that no axis takes for a divergence
TIED_BAND = "rgba(47, 116, 173, 0.10)"
MARKS = {  # by standing: colour and symbol
    STANDINGS["best"]: (BEST, "diamond"),
    STANDINGS["within the error"]: (TIED, "circle"),
    STANDINGS["one seed"]: (TIED, "circle-open"),
    STANDINGS[""]: (REST, "circle"),
    STANDINGS["screened out"]: (REST, "square"),
    SEARCH_ONLY: (REST, "circle-open"),
    NOT_RANKED: (REST, "x-thin-open"),
}


def differences(rows: pd.DataFrame, most: int = MOST) -> go.Figure:
    """What each is above the first, in percent of perplexity, with its 95% interval; each race by itself.

    Columns: label, standing, race, above, above_margin (nats per token, of the numbers that decide), hover.
    """
    rows = rows[np.isfinite(rows["above"])]
    if rows.empty:
        return empty("Nothing is ranked yet.")
    # Each race's rows stand together, in the order in which the races come.
    races = list(dict.fromkeys(rows["race"]))
    rows = pd.concat([rows[rows["race"] == race] for race in races]).head(most)
    value, margin = rows["above"].to_numpy(float), rows["above_margin"].to_numpy(float)
    with np.errstate(over="ignore"):
        middle, low, high = (100 * np.expm1(each) for each in (value, value - margin, value + margin))
    title = "above the first, % of perplexity; 95% intervals"
    figure = _lines(rows, middle, low, high, 100 * LEAST, title)
    figure.add_vline(x=0, line={"color": TIED, "width": 1, "dash": "dot"}, layer="below")
    for place in np.flatnonzero(rows["race"].to_numpy()[1:] != rows["race"].to_numpy()[:-1]):
        figure.add_hline(y=place + 0.5, line={"color": REST, "width": 1}, layer="below")
    return figure


def intervals(rows: pd.DataFrame, most: int = MOST) -> go.Figure:
    """val_ppl with its 95% interval, of fresh seeds where a row has them; what has no rank below the others.

    Columns: label, standing, hover, and val_ppl and confirmed_ppl with their _low and _high.
    """
    fresh = np.isfinite(rows["confirmed_ppl"].to_numpy(float))
    value, low, high = (
        np.where(fresh, rows[f"confirmed_{end}"].to_numpy(float), rows[f"val_ppl{also}"].to_numpy(float))
        for end, also in (("ppl", ""), ("low", "_low"), ("high", "_high"))
    )
    last = (rows["standing"] == NOT_RANKED).to_numpy()
    order = [*np.flatnonzero(np.isfinite(value) & ~last), *np.flatnonzero(np.isfinite(value) & last)][:most]
    if not order:
        return empty("No evaluation yet.")
    rows, value, low, high = rows.iloc[order], value[order], low[order], high[order]
    title = f"{BY_NAME['val_ppl'].label}, 95% interval"
    figure = _lines(rows, value, low, high, LEAST * np.median(value), title)
    for best in np.flatnonzero(rows["standing"] == STANDINGS["best"])[:1]:
        band = {"x0": low[best], "x1": high[best], "fillcolor": TIED_BAND}
        figure.add_vrect(**band, line_width=0, layer="below")
        figure.add_vline(x=value[best], line={"color": TIED, "width": 1, "dash": "dot"}, layer="below")
    return figure


def paired(
    labels: Sequence[str], words: Sequence[str], value: np.ndarray, half: np.ndarray, against: str
) -> go.Figure:
    """Paired differences to one configuration, nats per token. words: what may be said of each."""
    if not len(labels):
        return empty("Nothing can be paired.")
    colours = {"better": BEST, "worse": REST}
    rows = pd.DataFrame({"label": labels, "hover": words})
    figure = go.Figure()
    _scatter(figure, rows, np.arange(len(rows)), value, value - half, value + half, "", REST, "circle")
    figure.data[0].marker.color = [colours.get(word, TIED) for word in words]
    _axes(
        figure,
        rows,
        value,
        value - half,
        value + half,
        LEAST,
        f"difference to {against}, nats per token; 95%",
    )
    figure.add_vline(x=0, line={"color": TIED, "width": 1, "dash": "dot"}, layer="below")
    return calm(figure, height=80 + 30 * len(rows), legend=False)


def _lines(
    rows: pd.DataFrame, value: np.ndarray, low: np.ndarray, high: np.ndarray, least: float, title: str
) -> go.Figure:
    """A line a row, from the top; a name in the legend for each standing."""
    figure, place = go.Figure(), np.arange(len(rows))  # labels may be equal: every row has its own place
    for name, (colour, symbol) in MARKS.items():
        mine = (rows["standing"] == name).to_numpy()
        if mine.any():
            at, middle, start, end = (each[mine] for each in (place, value, low, high))
            _scatter(figure, rows[mine], at, middle, start, end, name, colour, symbol)
    _axes(figure, rows, value, low, high, least, title)
    return calm(figure, height=96 + 24 * len(rows))


def _scatter(
    figure: go.Figure,
    rows: pd.DataFrame,
    place: np.ndarray,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    name: str,
    colour: str,
    symbol: str,
) -> None:
    edge = {"width": 1.6} if symbol.endswith("open") else {"width": 1, "color": CLEAR}
    figure.add_scatter(
        x=np.where(np.isfinite(value), value, np.nan),
        y=place,
        error_x=bars(value, low, high, colour),
        mode="markers",
        name=name,
        marker={"size": 9, "color": colour, "symbol": symbol, "line": edge},
        customdata=[hover_lines(text) for text in rows["hover"]],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _axes(
    figure: go.Figure,
    rows: pd.DataFrame,
    value: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    least: float,
    title: str,
) -> None:
    places(figure, rows["label"])
    seen = span(value, low, high, least)
    title += seen.words if seen else ""
    figure.update_xaxes(title=title, gridcolor=GRID, zeroline=False, range=seen.ends if seen else None)
