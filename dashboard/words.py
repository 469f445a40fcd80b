"""What is said in words: a configuration in brief and a sweep's state."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pandas as pd

from dashboard.values import ago, missing, number, shown
from sweeper.store.records import SweepRecord

# What a row is to the first, by the board's `why`: the same word in tables, figures and filters.
STANDINGS = {
    "best": "first",
    "within the error": "tied",
    "one seed": "tied (one seed)",
    "screened out": "screened out",
    "": "behind",
}
TIED = (STANDINGS["within the error"], STANDINGS["one seed"])
SEARCH_ONLY, NOT_RANKED = "search only", "not ranked"  # no fresh seeds where others have; no rank at all
STANDING_COLOURS = {  # a tint, under words of the theme's own colour
    "first": "rgba(47, 116, 173, 0.38)",
    "tied": "rgba(91, 149, 198, 0.24)",
    "tied (one seed)": "rgba(91, 149, 198, 0.24)",
    "behind": "rgba(138, 144, 153, 0.20)",
    "screened out": "rgba(138, 144, 153, 0.20)",
    SEARCH_ONLY: "rgba(138, 144, 153, 0.12)",
    NOT_RANKED: "rgba(138, 144, 153, 0.12)",
}
# States of trials, each with its colour of Streamlit's; one that is not here is shown in words alone.
STATES: dict[str, Literal["blue", "gray", "green", "orange", "red"]] = {
    "running": "blue",
    "queued": "gray",
    "paused": "orange",
    "complete": "green",
    "pruned": "gray",
    "stopped": "orange",
    "interrupted": "orange",
    "lost": "orange",
    "failed": "red",
}
TINTS = {  # of those colours, under words of the theme's own colour
    "blue": "rgba(47, 116, 173, 0.24)",
    "gray": "rgba(138, 144, 153, 0.22)",
    "green": "rgba(53, 137, 106, 0.26)",
    "orange": "rgba(204, 111, 34, 0.26)",
    "red": "rgba(194, 65, 75, 0.28)",
}


def label(chosen: Mapping[str, Any], usual: Mapping[str, Any], prefix: str, most: int = 56) -> str:
    """'gaussian · schedule.mu 0.31': where a configuration differs from the baseline, in few words."""
    parts = []
    for name, value in chosen.items():
        if not missing(value) and value != usual.get(name):
            kind = name.endswith(".name")
            parts.append(shown(value) if kind else f"{name.removeprefix(prefix)} {shown(value)}")
    words = " · ".join(parts) if parts or not usual else "baseline"
    return words if len(words) <= most else words[: most - 1] + "…"


def state_sentence(sweep: SweepRecord, now: float) -> str:
    """'schedules is running; started 12 min ago'."""
    began = f"started {ago(now - sweep.created)} ago"
    if sweep.state in ("running", "paused") and sweep.lease_until is not None and sweep.lease_until < now:
        return (
            f"{sweep.called}: its driver fell silent {ago(now - sweep.lease_until)} ago. "
            "The line that started it goes on where it stopped."
        )
    if sweep.state == "interrupted":
        return f"{sweep.called} is interrupted; {began}. The line that started it goes on where it stopped."
    took = f", took {ago(sweep.ended - sweep.created)}" if sweep.ended else ""
    note = f". {sweep.note}" if sweep.note else ""
    return f"{sweep.called} is {sweep.state}; {began}{took}{note}"


HOW_RANKED = (
    "Configurations rank by an estimate of the NELBO that does not depend on schedule, clip or weight. "
    "Two values rank together only where their identity is equal: "
    "the same text, split, tokenizer, length, packing and EMA."
)
AS_RUN = (
    "as run: what the trials reported, and what curves show. val_ppl takes out that some seeds are easier "
    "than others for every configuration, so that rows of different seeds can be compared."
)

PINNED = (
    "Δ pinned is the paired difference to configuration {}, over their common seeds and documents, nats per "
    "token; ± is half of its 95% interval, as of a pair that was picked by looking at the board."
)

PICKED = (
    "Below 0 is better. The pairs were picked by looking at the board, so each interval is one of all pairs "
    "of its {} configurations at once."
)
BEFOREHAND = "Below 0 is better. Each interval is that of a pair that was named before the board was seen."


def row_sentence(row: pd.Series) -> str:
    """A configuration's standing, in a line."""
    rank = f"Rank {row['rank']}" if row["rank"] else "Not ranked"
    seeds = "1 seed" if row["seeds"] == 1 else f"{row['seeds']} seeds"
    value = (
        f"val_ppl {number(row['val_ppl'])} {row['interval']}, {seeds}" if row["seeds"] else "not evaluated"
    )
    note = f"; {row['note']}" if row["note"] else ""
    return f"{rank}, {row['state']}: {value}{note}"


class Labels(Mapping[int, str]):
    """By configuration, best first: '3 | gaussian · 16'. Each is made when it is asked for."""

    def __init__(self, rows: pd.DataFrame):
        self._words = dict(zip(rows["configuration"], rows["label"], strict=True))

    def __getitem__(self, configuration: int) -> str:
        return str(self._words[configuration])

    def __iter__(self) -> Iterator[int]:
        return iter(self._words)

    def __len__(self) -> int:
        return len(self._words)
