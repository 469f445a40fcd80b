"""Which numbers decide, and between whom? A race's, else those of fresh seeds, else the search's own."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd

from sweeper.results.leaderboard import Board
from sweeper.results.limits import shares_in_words
from sweeper.results.row import Row

COLUMNS = (
    *("configuration", "label", "why", "difference", "margin", "ppl", "low", "high", "seeds"),
    *("p_best", "p_within", "regret", "limited", "remedy", "hover"),
)
NUMBERS = ("difference", "margin", "ppl", "low", "high", "p_best", "p_within", "regret")


class Group(NamedTuple):
    """Rows that were held against one another, the first of them in front."""

    title: str  # 'finetune.block_size 4'; '' where there is one group
    of: str  # which numbers these are, in words
    within: float | None  # share of perplexity that is as good as nothing
    rows: pd.DataFrame  # COLUMNS


def deciding(board: Board, frame: pd.DataFrame) -> list[Group]:
    """frame: the leaderboard's, for labels. A group for each race; groups without a row are left out."""
    words = frame.set_index("configuration")[["label", "hover"]].to_dict("index") if len(frame) else {}
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


def _rows(rows: Iterable[Row], words: dict[Any, dict[str, str]], fresh: bool) -> pd.DataFrame:
    table = []
    for row in sorted(rows, key=lambda row: (row.confirmed_why if fresh else row.why) != "best"):
        of = row.limits
        table.append(
            {
                "configuration": row.configuration,
                "label": words[row.configuration]["label"],
                "why": row.confirmed_why if fresh else row.why,
                "difference": row.confirmed_difference if fresh else row.difference,
                "margin": row.confirmed_margin if fresh else row.margin,
                "ppl": row.confirmed_ppl if fresh else row.val_ppl,
                "low": row.confirmed_low if fresh else row.val_ppl_low,
                "high": row.confirmed_high if fresh else row.val_ppl_high,
                "seeds": row.confirmed_seeds if fresh else row.seeds,
                "p_best": row.p_best,
                "p_within": row.p_within,
                "regret": row.regret,
                "limited": "" if of is None else shares_in_words(of),
                "remedy": "" if of is None else of.remedy,
                "hover": words[row.configuration]["hover"],
            }
        )
    return pd.DataFrame(table, columns=list(COLUMNS)).astype(dict.fromkeys(NUMBERS, float))


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
