"""How far is each row above the first, and how surely? Of perplexity, with what a difference must exceed."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures.style import BEST, CLEAR, GRID, REST, TIED, bars, calm, empty, hover_lines, plain

MATTERS_NOT = "rgba(47, 116, 173, 0.10)"  # the band of differences that are as good as none
TIED_WORDS = ("one seed", "within the error")


def differences(rows: pd.DataFrame, within: float | None = None, most: int = 30) -> go.Figure:
    """In the order of the rows, the first at 0; beside it each one's chance of being the best, where known.

    Columns: label, why, difference and margin (nats per token; NaN: not known), p_best (NaN: not known),
    hover. within: share of perplexity that is as good as nothing, shaded.
    """
    rows = rows[np.isfinite(rows["difference"])].head(most)
    if rows.empty:
        return empty("No differences yet: nothing is ranked.")
    figure, place = go.Figure(), np.arange(len(rows))
    if within:
        figure.add_vrect(
            x0=-100 * within, x1=100 * within, fillcolor=MATTERS_NOT, line_width=0, layer="below"
        )
    figure.add_vline(x=0, line={"color": TIED, "width": 1, "dash": "dot"}, layer="below")
    first, tied = (rows["why"] == "best").to_numpy(), rows["why"].isin(TIED_WORDS).to_numpy()
    for name, chosen, colour in (
        ("first", first, BEST),
        ("may be the best", tied, TIED),
        ("behind", ~first & ~tied, REST),
    ):
        part = rows[chosen]
        if part.empty:
            continue
        nats, margin = part["difference"].to_numpy(float), part["margin"].to_numpy(float)
        margin = np.where(part["why"] == "best", np.nan, margin)  # of itself to itself there is none
        value, low, high = (100 * np.expm1(np.minimum(x, 700)) for x in (nats, nats - margin, nats + margin))
        # One whose error is not known has no bar, and is hollow.
        known = np.isfinite(margin) | first[chosen]
        figure.add_scatter(
            x=value,
            y=place[chosen],
            error_x=bars(value, low, high, colour),
            mode="markers",
            name=name,
            marker={
                "size": 9,
                "color": colour,
                "symbol": np.where(known, "circle", "circle-open"),
                "line": {"width": 1.5, "color": colour},
            },
            customdata=[
                f"{hover_lines(text)}<br>{plain(said)}"
                for text, said in zip(part["hover"], _said(nats, margin), strict=True)
            ],
            hovertemplate="%{customdata}<extra></extra>",
        )
    chances = rows["p_best"].to_numpy(float)
    if np.isfinite(chances).any():
        figure.add_bar(
            x=chances,
            y=place,
            orientation="h",
            width=0.5,
            xaxis="x2",
            name="P(best)",
            showlegend=False,
            marker={"color": [TIED if each else REST for each in first | tied]},
            text=["" if np.isnan(chance) else f"{chance:.2f}" for chance in chances],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="chance of being the best: %{x:.3f}<extra></extra>",
        )
        figure.update_layout(
            xaxis={"domain": [0, 0.78]},
            xaxis2={"domain": [0.83, 1], "range": [0, 1.18], "tickvals": [0, 0.5, 1], "title": "P(best)"},
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
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    figure.update_layout(xaxis={"title": "above the first, % of perplexity (95%, all pairs at once)"})
    return calm(figure, height=104 + 26 * len(rows))


def _said(nats: np.ndarray, margin: np.ndarray) -> list[str]:
    return [
        f"{d:+.4f} nats per token" + (f"; counts from {m:.4f} on" if np.isfinite(m) else "")
        for d, m in zip(nats, margin, strict=True)
    ]
