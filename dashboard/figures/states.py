"""How is a state drawn? One mark for each in every figure, so that colour is never all that tells."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from dashboard.figures.style import BAD, BEST, CLEAR, COLOURS, REST, hover_lines

MOST_MARKS = 2000  # of a figure: what a screen can show
# Symbol and colour. What has a result is filled.
MARKS = {
    "complete": ("circle", BEST),
    "running": ("circle-open-dot", COLOURS[2]),
    "queued": ("circle-open", REST),
    "paused": ("square-open", COLOURS[1]),
    "pruned": ("triangle-down", REST),
    "stopped": ("square", COLOURS[1]),
    "lost": ("x-open", COLOURS[1]),
    "failed": ("x", BAD),
}
OTHER = ("diamond-open", REST)


def by_state(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """In the order of MARKS; states that it does not know, last."""
    present = list(dict.fromkeys(rows["state"]))
    for state in sorted(present, key=lambda state: (state not in MARKS, [*MARKS, state].index(state))):
        yield state, rows[rows["state"] == state]


def mark(state: str, colour: str | None = None, size: float = 8) -> dict[str, Any]:
    symbol, own = MARKS.get(state, OTHER)
    line = {"width": 2, "color": colour or own} if "open" in symbol else {"width": 1, "color": CLEAR}
    return {"size": size, "symbol": symbol, "color": colour or own, "opacity": 0.85, "line": line}


def hovers(rows: pd.DataFrame) -> dict[str, Any]:
    return {
        "customdata": [hover_lines(text) for text in rows["hover"]],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def thinned(rows: pd.DataFrame, value: str, most: int = MOST_MARKS) -> pd.DataFrame:
    """At most so many, in their order: the best, a tenth of them, and the others evenly over the rest."""
    if len(rows) <= most:
        return rows
    order = np.argsort(rows[value].to_numpy(float), kind="stable")  # NaN last
    best, rest = order[: most // 10], order[most // 10 :]
    even = rest[np.linspace(0, len(rest) - 1, most - len(best)).round().astype(int)]
    return rows.iloc[np.sort(np.concatenate([best, even]))]


def left_out(rows: int, what: str, most: int = MOST_MARKS) -> str:
    """A sentence, or nothing."""
    if rows <= most:
        return ""
    best = f"the best {most // 10:,}, and others evenly over the rest"
    return f"{most:,} of {rows:,} {what} are drawn: {best}."
