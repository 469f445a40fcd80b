"""What may stand in a column of the board? A line each."""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from sweeper.results.leaderboard import Board
from sweeper.results.limits import shares_in_words
from sweeper.results.row import Row
from sweeper.terminal.console import HUGE, number, perplexity, share, shown, signed_percent
from sweeper.words import excess


class Column(NamedTuple):
    title: str
    cell: Callable[[Row], str]
    value: Callable[[Row], Any]  # to sort by; None: not known
    right: bool = True


def rank(row: Row) -> str:
    """'2-5=': the places that it may have; '=' marks what may be the best, '-' what has no rank."""
    if row.rank is None:
        return "-"
    low, high = row.rank_low or row.rank, row.rank_high or row.rank
    may_be_best = row.confirmed_tied if row.confirmed_seeds else row.tied_with_best
    return f"{low}{f'-{high}' if high > low else ''}{'=' if may_be_best else ''}"


def above_first(row: Row) -> str:
    """'+0.9% [-0.3, +2.1]': of perplexity; '' for the first, and without a rank."""
    why, difference, margin = row.why, row.difference, row.margin
    if row.confirmed_seeds:
        why, difference, margin = row.confirmed_why, row.confirmed_difference, row.confirmed_margin
    return "" if difference is None or why == "best" else above(difference, margin)


def above(difference: float, margin: float | None) -> str:
    """Nats per token, as shares of perplexity."""
    if margin is None:
        return f"{share(difference)} [?]"
    ends = difference - margin, difference + margin
    low, high = map(excess, ends)
    digits = 1 if high - low < 1 else 0
    low_said, high_said = (signed_percent(each, digits) for each in ends)
    return f"{share(difference)} [{low_said}, {high_said}]"


def interval(low: float | None, high: float | None) -> str:
    return f"[{perplexity(low)}, {perplexity(high)}]" if low is not None and high is not None else ""


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _loss(regret: float | None) -> str:
    if regret is None:
        return ""
    if (lost := excess(regret)) >= HUGE:  # a row that has diverged
        return f"{100 * lost:.3g}%"
    return f"{math.ceil(1000 * lost - 1e-9) / 10:.1f}%"


def _difference(row: Row) -> float | None:
    return row.confirmed_difference if row.confirmed_seeds else row.difference


def _trials(row: Row) -> list[int]:
    return list(row.trial_numbers or row.trials)


COLUMNS: Mapping[str, Column] = {
    "rank": Column("rank", rank, lambda row: row.rank_low or row.rank),
    "confirmed": Column("fresh", lambda row: perplexity(row.confirmed_ppl), lambda row: row.confirmed_ppl),
    "confirmed_interval": Column(
        "95% interval", lambda row: interval(row.confirmed_low, row.confirmed_high), lambda r: r.confirmed_low
    ),
    "val_ppl": Column("val_ppl", lambda row: perplexity(row.val_ppl), lambda row: row.val_ppl),
    "interval": Column(
        "95% interval", lambda row: interval(row.val_ppl_low, row.val_ppl_high), lambda row: row.val_ppl_low
    ),
    "as_run": Column("as run", lambda r: perplexity(r.val_ppl_as_run), lambda r: r.val_ppl_as_run),
    "above": Column("above row 1", above_first, _difference),
    "regret": Column("may lose", lambda row: _loss(row.regret), lambda row: row.regret),
    "p_best": Column("best", lambda row: _share(row.p_best), lambda row: row.p_best),
    "p_within": Column("near best", lambda row: _share(row.p_within), lambda row: row.p_within),
    "optimism": Column(
        "optimism", lambda r: "" if r.optimism is None else share(r.optimism), lambda r: r.optimism
    ),
    "limits": Column(
        "limits",
        lambda row: "" if row.limits is None else shares_in_words(row.limits),
        lambda row: None if row.limits is None else row.limits.seeds,
        right=False,
    ),
    "front": Column("front", lambda row: "*" if row.pareto else "", lambda row: row.pareto),
    "seeds": Column("seeds", lambda r: str(r.confirmed_seeds or r.seeds or ""), lambda r: r.seeds),
    "state": Column("state", lambda row: row.state, lambda row: row.state, right=False),
    "step": Column("step", lambda row: f"{row.step:,}" if row.step else "", lambda row: row.step),
    "trials": Column("trials", lambda row: ", ".join(map(str, _trials(row))), lambda row: _trials(row)[:1]),
}


def _estimated(name: str, part: str) -> Column:
    """Of another metric than the one that ranks, seeds' effects taken out.

    part: '', 'interval' or 'above'.
    """

    def cell(row: Row) -> str:
        if (each := row.estimates.get(name)) is None:
            return ""
        if part == "interval":
            return interval(each.low, each.high)
        return above(each.difference or 0.0, each.margin) if part else perplexity(each.value)

    def value(row: Row) -> float | None:
        return row.estimates[name].value if name in row.estimates else None

    return Column(f"{name} {part}".rstrip(), cell, value)


def races(board: Board) -> int:
    """How many firsts are there? One for each value that `settle` races by itself."""
    return 1 if board.fresh is None else max(1, len(board.fresh.contests))


def _above_in_a_race(board: Board) -> Column:
    """Of a row without fresh numbers nothing is said: it was not held against the first that these name."""
    column = COLUMNS["above"]
    return column._replace(
        title="above first" if races(board) > 1 else column.title,
        cell=lambda row: column.cell(row) if row.confirmed_seeds else "",
        value=lambda row: column.value(row) if row.confirmed_seeds else None,
    )


class NoColumn(ValueError):
    """There is no such column, as one sentence."""


def of_value(name: str) -> Column:
    """Of what a configuration says, by its dotted name."""
    return Column(name, lambda row: shown(row.values.get(name)), lambda row: row.values.get(name), False)


def column_of(board: Board, name: str) -> Column:
    """One of those above, a metric that a row has, or a value. Raises NoColumn."""
    if name in COLUMNS:
        return _above_in_a_race(board) if name == "above" and board.confirmed else COLUMNS[name]
    metric, _, part = name.rpartition(":")
    metric, part = (metric, part) if part in ("interval", "above") else (name, "")
    if any(metric in row.estimates for row in board.rows):
        return _estimated(metric, part)
    if any(name in row.metrics for row in board.rows):
        show = perplexity if name.endswith("_ppl") else number
        return Column(name, lambda row: show(row.metrics.get(name)), lambda row: row.metrics.get(name))
    if any(name in row.values for row in board.rows):
        return of_value(name)
    metrics = sorted({metric for row in board.rows for metric in row.metrics})
    names = ", ".join([*COLUMNS, *metrics])
    raise NoColumn(
        f"there is no column {name or repr(name)}; there are: {names}; every value by its dotted name; and "
        "of test_ppl and its like test_ppl:interval and test_ppl:above"
    )


def chosen(board: Board) -> list[str]:
    """The columns that a board has unless others are asked for; its values and trials come after them."""
    ranked = [row for row in board.rows if row.rank is not None]
    names = ["rank", *(["confirmed"] if board.confirmed else []), "val_ppl"]
    if any(perplexity(row.val_ppl) != perplexity(row.val_ppl_as_run) for row in ranked):
        names += ["as_run"]
    if len(ranked) > 1:
        names += ["above"]
    if any(row.p_best is not None for row in ranked):
        names += ["p_best"]
    names += [*board.also, *(["front"] if board.also else [])]
    if board.ended and any("test_ppl" in row.metrics for row in ranked):
        names += ["test_ppl"]
    return list(dict.fromkeys(names))


def in_order(board: Board, by: str | None) -> list[Row]:
    """Lowest first, what is not known last; as the board has them, unless said. Raises NoColumn."""
    if by is None:
        return list(board.rows)
    value = column_of(board, by).value
    rest = [row for row in board.rows if value(row) in (None, [])]
    known = [row for row in board.rows if value(row) not in (None, [])]
    words = any(isinstance(value(row), str) for row in known)
    return sorted(known, key=lambda row: str(value(row)) if words else value(row)) + rest


def split(names: str | None) -> list[str] | None:
    """'rank, val_ppl' as a list, each once. Raises NoColumn where it names none."""
    if names is None:
        return None
    found = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not found:
        raise NoColumn(f"--columns {names!r} names no column: rank, val_ppl, a metric, a value's name")
    return found
