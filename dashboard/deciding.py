"""Which numbers decide, and between whom? A race's, else those of fresh seeds, else the search's own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from sweeper.results.leaderboard import Board
from sweeper.results.limits import shares_in_words
from sweeper.results.row import Row

COLUMNS = (
    *("configuration", "label", "why", "difference", "margin", "ppl", "low", "high", "seeds"),
    *("p_best", "p_within", "regret", "limited", "remedy", "hover"),
)
CHANCES = ("p_best", "p_within", "regret")
NUMBERS = ("difference", "margin", "ppl", "low", "high", *CHANCES)


class Group(NamedTuple):
    """Rows that were held against one another, the first of them in front."""

    title: str  # 'finetune.block_size 4'; '' where there is one group
    of: str  # which numbers these are, in words
    within: float | None  # share of perplexity that is as good as nothing
    rows: pd.DataFrame  # COLUMNS


def deciding(board: Board, frame: pd.DataFrame) -> list[Group]:
    """frame: the leaderboard's, for labels. A group for each race; groups without a row are left out."""
    words = {
        each[0]: each[1:] for each in zip(frame["configuration"], frame["label"], frame["hover"], strict=True)
    }
    fresh = board.fresh
    if fresh is not None and fresh.settle is not None:
        several, settle = len(fresh.contests) > 1, fresh.settle
        found = [
            Group(
                f"{settle.by} {contest.value}" if several else "",
                "a race on fresh seeds, over all its looks",
                settle.within,
                _rows((r for r in board.confirmed if r.configuration in contest.contenders), words, True),
            )
            for contest in fresh.contests
        ]
    elif fresh is not None:
        found = [Group("", "fresh seeds", None, _rows(board.confirmed, words, True))]
    else:
        ranked = (row for row in board.rows if row.rank is not None)
        found = [Group("", "the search's own runs", None, _rows(ranked, words, False))]
    return [group for group in found if len(group.rows)]


def _rows(rows: Iterable[Row], words: Mapping[int, Sequence[object]], fresh: bool) -> pd.DataFrame:
    """words: label and hover, by configuration."""
    deciding = ("why", "difference", "margin", "ppl", "low", "high", "seeds")
    named = [f"confirmed_{name}" for name in deciding]
    if not fresh:
        named = ["why", "difference", "margin", "val_ppl", "val_ppl_low", "val_ppl_high", "seeds"]
    found = sorted(rows, key=lambda row: getattr(row, named[0]) != "best")
    table: dict[str, list[Any]] = {"configuration": [row.configuration for row in found]}
    table["label"], table["hover"] = ([words[row.configuration][i] for row in found] for i in (0, 1))
    for name, of in [*zip(deciding, named, strict=True), *((name, name) for name in CHANCES)]:
        table[name] = [getattr(row, of) for row in found]
    table["limited"] = ["" if row.limits is None else shares_in_words(row.limits) for row in found]
    table["remedy"] = ["" if row.limits is None else row.limits.remedy for row in found]
    return pd.DataFrame({name: table[name] for name in COLUMNS}).astype(dict.fromkeys(NUMBERS, float))


class Best(NamedTuple):
    ppl: float | None
    low: float | None
    high: float | None


def best_of(board: Board) -> Best | None:
    """Of the row that the verdict puts first, by the numbers that decide; None: nothing is ranked."""
    row = next((row for row in board.rows if row.rank is not None), None)
    if row is None:
        return None
    if row.confirmed_seeds:
        return Best(row.confirmed_ppl, row.confirmed_low, row.confirmed_high)
    return Best(row.val_ppl, row.val_ppl_low, row.val_ppl_high)
