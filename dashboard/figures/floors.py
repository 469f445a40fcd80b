"""How far are the rows from what simpler models reach on the same tokens, and from the source itself?"""

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.style import BEST, CLEAR, COLOURS, GRID, calm, plain

NAMES = {  # of metrics, nats per token: what a line is called
    "unigram_nelbo": "unigram",
    "bigram_nelbo": "add-one bigram",
    "kn_bigram_nelbo": "Kneser-Ney bigram",
    "kn_trigram_nelbo": "Kneser-Ney trigram",
    "source_nelbo": "the source's own entropy",
}
FLOOR = COLOURS[1]
TICKS = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]


def floors_of(metrics: Mapping[str, float]) -> dict[str, float]:
    """Perplexities by name, of those that are stored; the highest first."""
    found = {said: float(np.exp(min(metrics[name], 700))) for name, said in NAMES.items() if name in metrics}
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def floors(found: Mapping[str, float], rows: Sequence[tuple[str, float, float, float]]) -> go.Figure:
    """A line each, and a mark each of the rows: (label, perplexity, low, high)."""
    figure, height = go.Figure(), len(rows)
    figure.add_scatter(
        x=[ppl for _, ppl, _, _ in rows],
        y=list(range(height)),
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [high - ppl for _, ppl, _, high in rows],
            "arrayminus": [ppl - low for _, ppl, low, _ in rows],
            "color": BEST,
            "thickness": 1.6,
            "width": 3,
        },
        mode="markers",
        marker={"size": 9, "color": BEST},
        customdata=[plain(label) for label, *_ in rows],
        hovertemplate="%{customdata}: PPL %{x:,.4g}<extra></extra>",
        showlegend=False,
    )
    for place, (name, ppl) in enumerate(found.items()):
        figure.add_vline(x=ppl, line={"color": FLOOR, "width": 1.5, "dash": "dash"}, layer="below")
        figure.add_annotation(
            x=np.log10(ppl),
            y=1.02 + 0.16 * (place % 2),  # neighbours stand at two heights
            yref="paper",
            yanchor="bottom",
            text=f"{plain(name)} {ppl:,.4g}",
            showarrow=False,
            font={"size": 11},
        )
    figure.update_xaxes(type="log", title="PPL (valid)", gridcolor=GRID, zeroline=False, tickvals=TICKS)
    figure.update_yaxes(
        tickvals=list(range(height)),
        ticktext=[plain(label, 60) for label, *_ in rows],
        range=[height - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
        automargin=True,
        ticksuffix="  ",
        tickcolor=CLEAR,
    )
    calm(figure, height=130 + 26 * height, legend=False)
    return figure.update_layout(margin={"t": 60})
