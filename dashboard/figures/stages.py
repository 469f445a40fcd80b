"""Who shares which pretrain? A tree: pretrains at the left, what branches from each at the right: runs, and
pretrains that go on from its end."""

from collections.abc import Sequence
from typing import NamedTuple

import plotly.graph_objects as go

from dashboard.figures.style import BAD, BEST, CLEAR, COLOURS, GRID, REST, calm, empty, plain

STATES = {  # others are grey
    "complete": COLOURS[2],
    "running": BEST,
    "failed": BAD,
    "lost": BAD,
    "pruned": COLOURS[5],
}
MOST_TRUNKS, MOST_BRANCHES = 40, 12  # that are drawn: of branches, at each trunk
LEFT, RIGHT, END = 0.34, 0.44, 1.0  # of the width: a trunk, its branches, the edge


class Branch(NamedTuple):
    """A run, or a pretrain."""

    label: str
    state: str
    hover: str


class Trunk(NamedTuple):
    """A pretrain; the last may be none, of runs that have no pretrain."""

    label: str
    state: str
    hover: str
    branches: Sequence[Branch]


def tree(trunks: Sequence[Trunk]) -> go.Figure:
    if not trunks:
        return empty("No pretrain yet.")
    nodes: list[tuple[float, float, str, str, str, str]] = []  # x, y, label, state, hover, where its text is
    x_lines: list[float | None] = []
    y_lines: list[float | None] = []
    row = 0
    for trunk in trunks[:MOST_TRUNKS]:
        drawn = list(trunk.branches[:MOST_BRANCHES])
        if more := len(trunk.branches) - len(drawn):
            drawn.append(Branch(f"and {more:,} more", "", ""))
        places = list(range(row, row + max(1, len(drawn))))
        middle = (places[0] + places[-1]) / 2
        nodes.append((LEFT, middle, trunk.label, trunk.state, trunk.hover, "middle left"))
        for place, branch in zip(places, drawn, strict=False):
            nodes.append((RIGHT, place, branch.label, branch.state, branch.hover, "middle right"))
            x_lines += [LEFT, (LEFT + RIGHT) / 2, (LEFT + RIGHT) / 2, RIGHT, None]
            y_lines += [middle, middle, place, place, None]
        row = places[-1] + 2  # a row between two trunks
    figure = go.Figure()
    line = {"color": GRID, "width": 1.5}
    figure.add_scatter(x=x_lines, y=y_lines, mode="lines", line=line, showlegend=False, hoverinfo="skip")
    for state in dict.fromkeys(each[3] for each in nodes):
        mine = [each for each in nodes if each[3] == state]
        figure.add_scatter(
            x=[each[0] for each in mine],
            y=[each[1] for each in mine],
            mode="markers+text",
            name=plain(state or "more", 20),
            showlegend=bool(state),
            marker={
                "size": [13 if each[0] == LEFT else 8 for each in mine],
                "color": STATES.get(state, REST) if state else CLEAR,
            },
            text=[f" {plain(each[2], 64)} " for each in mine],
            textposition=[each[5] for each in mine],
            textfont={"size": 11.5},
            cliponaxis=False,
            customdata=[plain(each[4], 200) for each in mine],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_xaxes(visible=False, range=[0, END], fixedrange=True)
    figure.update_yaxes(visible=False, range=[row - 1, -0.8])
    return calm(figure, height=60 + 19 * row)
