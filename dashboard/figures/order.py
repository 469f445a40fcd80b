"""In which order were a sample's tokens unmasked?"""

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures.style import BEST, GRID, REST, calm, plain

MOST_TOKENS = 4000


def order(words: Sequence[str], passes: Sequence[int], shown: int) -> go.Figure:
    """The pass that decided each token, over its place in the text; a line at the pass that is shown.

    Left to right it climbs in steps of a block; within a block it is as the sampler went.
    """
    places = np.flatnonzero(np.asarray(passes) > 0)[:MOST_TOKENS]
    decided = np.asarray(passes)[places]
    figure = go.Figure()
    figure.add_scatter(
        x=places,
        y=decided,
        mode="markers",
        marker={"size": 5, "color": np.where(decided <= shown, BEST, REST)},
        text=[plain(words[place], 30) for place in places],
        hovertemplate="token %{x:,}, pass %{y:,}: %{text}<extra></extra>",
    )
    figure.add_hline(y=shown + 0.5, line={"color": REST, "width": 1, "dash": "dash"})
    figure.update_xaxes(title="place in the text", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title="pass", gridcolor=GRID, zeroline=False, rangemode="tozero")
    return calm(figure, height=260, legend=False)
