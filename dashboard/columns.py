"""What may stand in a column of the leaderboard's table? Fields of the board, every value, every metric.

A column is named as its field is: in the picker, in filters, in expressions, in the address and in the CSV.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from streamlit import column_config as column

from dashboard import frame
from dashboard.huge import printable
from dashboard.snapshot import Snapshot
from dashboard.values import common_prefix, is_number, missing, shown
from dashboard.words import STANDING_COLOURS, STATES, TINTS
from trainer.metrics import BY_NAME

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would carry out


class Field(NamedTuple):
    """Of a column of the board's frame."""

    title: str
    help: str
    width: int
    setting: Callable[..., Any] = column.TextColumn
    options: Mapping[str, Any] = {}


def _chips(colours: Mapping[str, str]) -> dict[str, Any]:
    return {"options": list(colours), "color": list(colours.values())}


PPL = {"format": "ppl"}  # as many digits as the lowest needs
NATS, MARGIN, LOSS, SHARE = ({"format": each} for each in ("%+.4f", "±%.4f", "%.4f", "%.3f"))
NUMBER, CHIPS = column.NumberColumn, column.MultiselectColumn
PINNED = "against_pinned"
STANDING = (
    "What it is to the first. `behind`: surely not the best, which is asked one-sidedly; the interval of Δ "
    "is of all pairs at once, so it is wider and may reach below 0."
)
FIELDS: dict[str, Field] = {
    "rank": Field("rank", "Its place on the board; 1= for all that may be the best", 52),
    "standing": Field("standing", STANDING, 114, CHIPS, _chips(STANDING_COLOURS)),
    "race": Field("race", "Of the value that is raced by itself", 60),
    "confirmed_ppl": Field("fresh", "val_ppl on fresh seeds, which decide", 76, NUMBER, PPL),
    "confirmed_interval": Field("its 95% interval", "Of val_ppl on fresh seeds", 124),
    "val_ppl": Field("val_ppl", "By the search, seeds' effects taken out", 76, NUMBER, PPL),
    "interval": Field("95% interval", "Of val_ppl", 124),
    "val_ppl_as_run": Field("as run", "val_ppl as the trials reported it", 72, NUMBER, PPL),
    "above": Field("Δ first", "Above the first, nats per token: what decides", 76, NUMBER, NATS),
    "above_margin": Field("±", "What it must exceed to count (95%)", 68, NUMBER, MARGIN),
    PINNED: Field("Δ pinned", "Paired, to the pinned one, nats per token", 80, NUMBER, NATS),
    f"{PINNED}_margin": Field("± of it", "Half of its 95% interval, if picked", 72, NUMBER, MARGIN),
    "p_best": Field("P(best)", "Chance that it is the best", 68, NUMBER, SHARE),
    "p_within": Field("P(near)", "Chance that it is within 1% of the best", 68, NUMBER, SHARE),
    "regret": Field("may lose", "What it may cost at most (95%), nats per token", 76, NUMBER, LOSS),
    "difference": Field("Δ by search", "Difference to the search's first, nats per token", 88, NUMBER, NATS),
    "margin": Field("± by search", "What it must exceed to count", 88, NUMBER, MARGIN),
    "confirmed_difference": Field("Δ fresh", "On fresh seeds, nats per token", 76, NUMBER, NATS),
    "confirmed_margin": Field("± fresh", "What it must exceed to count", 76, NUMBER, MARGIN),
    "rank_low": Field("rank from", "The best place that it may have", 76, NUMBER),
    "rank_high": Field("rank to", "The worst place that it may have", 76, NUMBER),
    "flops": Field("FLOPs", "Of a run, pretrain included", 72, NUMBER, {"format": "%.2g"}),
    "state": Field("state", "", 92, CHIPS, _chips({each: TINTS[colour] for each, colour in STATES.items()})),
    "step": Field("step", "The last step of its trials", 68, NUMBER, {"format": "localized"}),
    "seeds": Field("seeds", "Runs that val_ppl is made of", 56, NUMBER),
    "confirmed_seeds": Field("fresh seeds", "Runs after the search", 84, NUMBER),
    "role": Field("role", "", 84),
    "configuration": Field("no.", "Of the configuration", 48, NUMBER),
    "trials": Field("trials", "Numbers of its trials", 84),
    "tags": Field("tags", "What people called it: python -m sweeper tag", 110),
    "notes": Field("notes", "What people said of it: python -m sweeper note", 160),
    "note": Field("note", "Why it has no rank, or what else to know", 220),
}  # fmt: skip


class Columns:
    """All that a sweep's table may show. more: cells by column and configuration that the board has not."""

    def __init__(self, now: Snapshot, more: Mapping[str, Mapping[int, Any]]) -> None:
        self._now, self._more = now, more
        self._rows = {row.configuration: row for row in now.board.rows}
        self.searched = now.searched
        self.values = [*self.searched, *sorted(set().union(*now.values.values()) - set(self.searched))]
        stored = set().union(*(row.metrics for row in now.board.rows))
        self.metrics = sorted(stored - set(self.values) - set(FIELDS))
        self._prefix = common_prefix(now.searched)
        self.fields = [name for name in FIELDS if name in now.frame or name in more]
        self.names = [*self.fields, *self.values, *self.metrics]

    def usual(self) -> list[str]:
        """What is shown until somebody chooses: at 1280 pixels the searched values are in view."""
        rows, there = self._now.frame, {*self.fields, *self.searched}
        fresh = bool((rows["confirmed_seeds"] > 0).any())
        live = [] if self._now.board.ended else ["state"]
        ppl = "confirmed_ppl" if fresh else "val_ppl"
        names = ["rank", *live, "standing", ppl, "above", "above_margin", PINNED, f"{PINNED}_margin"]
        names += self.searched
        names += ["race"] if (rows["race"] != "").any() else []
        names += ["confirmed_interval", "val_ppl"] if fresh else ["interval"]
        names += ["val_ppl_as_run"] if frame.is_adjusted(rows) else []
        names += ["p_best"] if rows["p_best"].notna().any() else []
        names += ["state", "step", "seeds", "role", "configuration", "tags", "note"]
        return [name for name in dict.fromkeys(names) if name in there]

    def cells(self, name: str, rows: pd.DataFrame) -> pd.Series:
        """Of some rows of the frame, in their order; None or NaN where there is nothing."""
        if name in rows:
            return rows[name]
        numbers = rows["configuration"]
        if name in self._more:
            found = [self._more[name].get(each) for each in numbers]
            found = [", ".join(each) if isinstance(each, list) else each for each in found]
        elif name in self._metrics:
            found = [self._rows[each].metrics.get(name) for each in numbers]
        else:
            found = [self._now.values[each].get(name) for each in numbers]
        return pd.Series(found, index=rows.index, dtype=float if name in self._metrics else object)

    @property
    def _metrics(self) -> set[str]:
        return set(self.metrics)

    def title(self, name: str) -> str:
        return FIELDS[name].title if name in FIELDS else name.removeprefix(self._prefix)

    def table(self, names: Sequence[str], rows: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, Any]]:
        """As it is printed, and its columns' settings. Its columns are named as the fields are."""
        printed: dict[str, Any] = {}
        settings: dict[str, Any] = {}
        for name in names:
            cells = self.cells(name, rows)
            printed[text(name)], settings[text(name)] = (_field if name in FIELDS else self._other)(
                name, cells
            )
        return printable(pd.DataFrame(printed, index=rows.index), settings)

    def _other(self, name: str, cells: pd.Series) -> tuple[Any, Any]:
        """A value's or a metric's cells and setting."""
        title, help = self.title(name), BY_NAME[name].label if name in BY_NAME else name
        if is_number(cells):
            return pd.to_numeric(cells), NUMBER(title, help=help, format="%.4g")
        return [text(cell) for cell in cells], column.TextColumn(title, help=help)


def _field(name: str, cells: pd.Series) -> tuple[Any, Any]:
    """A field's cells and setting."""
    field = FIELDS[name]
    options = dict(field.options)
    if options.get("format") == "ppl":
        options["format"] = ppl_format(cells)
    setting = field.setting(field.title, width=field.width, help=field.help or None, **options)
    if field.setting is NUMBER:
        return pd.to_numeric(cells), setting
    return [[cell] if field.setting is CHIPS else text(cell) for cell in cells], setting


def text(cell: Any) -> str:
    """A cell in words. What a spreadsheet would take for a formula gets a quote before it, in the table as in
    its CSV, which the browser writes from it."""
    if isinstance(cell, list | tuple):
        return ", ".join(map(str, cell))
    words = "" if missing(cell) else shown(cell)
    return f"'{words}" if words.startswith(FORMULA) and not _is_number(words) else words


def _is_number(words: str) -> bool:
    try:
        float(words)
    except ValueError:
        return False
    return True


def ppl_format(values: pd.Series) -> str:
    """A printf format that gives the lowest value four significant digits, so that decimal points align."""
    numbers = pd.to_numeric(values).to_numpy(float)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers) or numbers.min() <= 0 or numbers.max() >= 1e6:
        return "%.4g"
    return f"%.{min(3, max(0, 3 - math.floor(math.log10(numbers.min()))))}f"
