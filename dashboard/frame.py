"""The board as a frame, a row a configuration, and what is asked of it: its first row, ties, order."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import pandas as pd

from dashboard.values import common_prefix, interval, is_number, missing, number, shown
from dashboard.words import NOT_RANKED, SEARCH_ONLY, STANDINGS, TIED, label
from sweeper.results.leaderboard import Board
from sweeper.results.row import Row
from sweeper.store.records import TrialRecord

BOARD_COLUMNS = (
    *("configuration", "rank", "standing", "race", "role", "state"),  # then the searched values
    *("confirmed_ppl", "confirmed_low", "confirmed_high", "confirmed_interval", "confirmed_why"),
    *("confirmed_seeds", "confirmed_difference", "confirmed_margin"),
    *("val_ppl", "val_ppl_low", "val_ppl_high", "interval", "val_ppl_as_run", "difference", "margin", "why"),
    *("above", "above_margin", "p_best", "p_within", "regret", "rank_low", "rank_high"),
    *("step", "seeds", "trials", "note", "label", "hover"),
)
NUMBERS = (
    *("confirmed_ppl", "confirmed_low", "confirmed_high", "confirmed_difference", "confirmed_margin"),
    *("val_ppl", "val_ppl_low", "val_ppl_high", "val_ppl_as_run", "difference", "margin"),
    *("above", "above_margin", "p_best", "p_within", "regret", "rank_low", "rank_high"),
)
AS_STORED = (
    "configuration",
    "state",
    "confirmed_why",
    "confirmed_seeds",
    "why",
    "step",
    "seeds",
    "note",
)


def from_board(board: Board, searched: Sequence[str]) -> pd.DataFrame:
    """A row a configuration, in the board's order: its rank, its searched values, its value and interval.

    standing, above and above_margin are of the numbers that decide: of fresh seeds once there are any, and
    nothing then of a row that has none: it was not held against the first. Texts (intervals, label, hover)
    are Words, made where they are drawn.
    """
    rows, fresh = board.rows, bool(board.confirmed)
    contests = board.fresh.contests if board.fresh and len(board.fresh.contests) > 1 else []
    races = {each: shown(contest.value) for contest in contests for each in contest.contenders}
    firsts = Counter(races.get(row.configuration) for row in rows if row.rank == 1)
    ranks = [_rank(row, firsts[races.get(row.configuration)] > 1) for row in rows]
    fields = dict(zip(Row._fields, zip(*rows, strict=True) if rows else repeat(()), strict=False))
    decided = zip(*(_decided(row, fresh) for row in rows), strict=True) if rows else repeat(())
    said = _Said(searched, next((row.values for row in rows if "baseline" in row.roles), {}))
    table: dict[str, Sequence[Any]] = {
        **{name: fields[name] for name in (*AS_STORED, *NUMBERS) if name in fields},
        **{name: [each.get(name) for each in fields["values"]] for name in searched},
        **dict(zip(("standing", "above", "above_margin"), decided, strict=False)),
        "rank": ranks,
        "race": [races.get(row.configuration, "") if row.confirmed_seeds else "" for row in rows],
        "role": [", ".join(each) for each in fields["roles"]],
        "trials": fields["trial_numbers"],  # as people call them
        "interval": _words(interval, fields["val_ppl_low"], fields["val_ppl_high"]),
        "confirmed_interval": _words(interval, fields["confirmed_low"], fields["confirmed_high"]),
        "label": _words(said.label, rows, ranks),
        "hover": _words(said.hover, rows, ranks),
    }
    columns = [*BOARD_COLUMNS[:6], *searched, *BOARD_COLUMNS[6:]]
    # One dtype a column whatever is missing: numbers are floats with NaN.
    numbers = {name: np.array(table[name], float) for name in NUMBERS}
    return pd.DataFrame({name: numbers.get(name, table[name]) for name in columns})


class Words:
    """A text that is made when somebody reads it, and once: ten thousand rows are held, and a few tens
    drawn."""

    __slots__ = ("_make", "_of", "_said")

    def __init__(self, make: Callable[..., str], *of: Any):
        self._make, self._of = make, of
        self._said: str | None = None

    def __str__(self) -> str:
        if self._said is None:
            self._said = self._make(*self._of)
        return self._said


def _words(make: Callable[..., str], *of: Sequence[Any]) -> list[Words]:
    """One for each row."""
    return list(map(Words, repeat(make), *of))


class _Said:
    """What figures and pickers say of a row."""

    def __init__(self, searched: Sequence[str], usual: Mapping[str, Any]):
        """usual: a baseline's values."""
        self._searched, self._usual, self._prefix = searched, usual, common_prefix(searched)

    def _chosen(self, row: Row) -> dict[str, Any]:
        return {name: row.values.get(name) for name in self._searched}

    def label(self, row: Row, rank: str) -> str:
        return f"{rank or '–'} | {label(self._chosen(row), self._usual, self._prefix)}"

    def hover(self, row: Row, rank: str) -> str:
        """Where its mark is pointed at."""
        fresh = (
            f"on fresh seeds {number(row.confirmed_ppl)} {interval(row.confirmed_low, row.confirmed_high)}"
        )
        chosen = self._chosen(row).items()
        facts = [
            f"{rank or NOT_RANKED}: configuration {row.configuration}",
            *([fresh] if row.confirmed_seeds else []),
            f"val_ppl {number(row.val_ppl)} {interval(row.val_ppl_low, row.val_ppl_high)}",
            *(f"{name} = {shown(value)}" for name, value in chosen if not missing(value)),
        ]
        return "\n".join(facts)


def _rank(row: Row, shared: bool) -> str:
    return "" if row.rank is None else "1=" if row.rank == 1 and shared else str(row.rank)


def _decided(row: Row, fresh: bool) -> tuple[str, float | None, float | None]:
    """What it is to the first, its difference to it (nats per token) and what that must exceed to count."""
    if row.rank is None:
        return NOT_RANKED, None, None
    if row.confirmed_seeds:
        why, above, margin = row.confirmed_why, row.confirmed_difference, row.confirmed_margin
    elif fresh:
        return SEARCH_ONLY, None, None
    else:
        why, above, margin = row.why, row.difference, row.margin
    return STANDINGS[why], above, None if why == "best" else margin  # of itself to itself there is none


def searched_names(
    spec: Mapping[str, Any], trials: Iterable[TrialRecord], values: Mapping[int, Mapping[str, Any]]
) -> list[str]:
    """What the sweep varies, in the order of its spec; all that differs where the spec does not say."""
    named = list(spec["space"]) if isinstance(spec.get("space"), dict) else []
    proposed = [name for trial in trials for name in trial.params]
    stored = set[str]().union(*values.values())
    searched = [name for name in dict.fromkeys([*named, *proposed]) if name in stored]
    differing = (
        name for name in sorted(stored) if len({str(each.get(name)) for each in values.values()}) > 1
    )
    return searched or list(differing)


def first(rows: pd.DataFrame) -> pd.Series | None:
    """The board's first row: what the answer names. None while nothing is ranked."""
    ranked = rows[rows["rank"] != ""]
    return None if ranked.empty else ranked.iloc[0]


def first_value(rows: pd.DataFrame) -> tuple[str, float | None, str]:
    """Its title, val_ppl and interval: of fresh seeds once there are any, else of the search."""
    row = first(rows)
    if row is None:
        return "val_ppl of row 1", None, "–"
    if row["confirmed_seeds"]:
        return "val_ppl of row 1, fresh seeds", row["confirmed_ppl"], str(row["confirmed_interval"])
    return "val_ppl of row 1", row["val_ppl"], str(row["interval"])


def is_adjusted(rows: pd.DataFrame) -> bool:
    """Whether a value differs from what its trials reported: seeds are easier or harder than each other."""
    return bool(((rows["val_ppl"] - rows["val_ppl_as_run"]).abs() > 1e-6 * rows["val_ppl"]).any())


def ties(rows: pd.DataFrame) -> int:
    """How many configurations cannot be told from the first row, itself left out: of its own race alone."""
    return int((rows["standing"].isin(TIED) & (rows["race"] == rows["race"].head(1).max())).sum())


def present(values: pd.Series) -> list[Any]:
    """The distinct values there are, sorted; what a filter offers."""
    found = list(dict.fromkeys(value for value in values if not missing(value)))
    return sorted(found, key=lambda value: (isinstance(value, str), value))


def ordered(rows: pd.DataFrame, by: pd.Series, descending: bool = False) -> pd.DataFrame:
    """Sorted by a column's cells, what has no value last."""
    numeric = is_number(by) or pd.api.types.is_float_dtype(by.dtype)
    key = pd.to_numeric(by) if numeric else by.map(lambda cell: None if missing(cell) else str(cell))
    places = key.reset_index(drop=True).sort_values(
        ascending=not descending, kind="stable", na_position="last"
    )
    return rows.iloc[places.index]


def finetune_start(values: Mapping[int, Mapping[str, Any]], configurations: Iterable[int]) -> int | None:
    """The last pretrain step of the configurations, where all of them share it."""
    starts = {values[configuration].get("pretrain.steps") for configuration in configurations}
    return starts.pop() if len(starts) == 1 else None
