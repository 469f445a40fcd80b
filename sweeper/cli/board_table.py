"""The board on a terminal: a table, and under it what may be concluded from it, and what its columns say."""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from sweeper.cli.console import COLOURS, PIPE_WIDTH, common_prefix, number, perplexity, shown
from sweeper.results.leaderboard import Board
from sweeper.results.row import Row

FINAL = ("complete", "failed")  # states of a sweep in which its board does not change any more
INDENT = 6  # of the values below a row


def print_board(board: Board, searched: Sequence[str], limit: int | None = None) -> None:
    """A column for each searched value where the terminal is wide enough, else the values below each row."""
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=PIPE_WIDTH)
    rows = board.rows[:limit]
    prefix = common_prefix(searched)
    wide = board_table(board, rows, {name.removeprefix(prefix): name for name in searched})
    if console.measure(wide, options=console.options.update(width=PIPE_WIDTH)).maximum <= console.width:
        console.print(wide)
    else:
        _print_stacked(console, board, rows, searched)
    for line in (verdict(board), *legend(board)):
        console.print(Text(line))


def _print_stacked(console: Console, board: Board, rows: Sequence[Row], searched: Sequence[str]) -> None:
    head, *lines = console.render_lines(board_table(board, rows, None), pad=False)
    console.print(Segments([*head, Segment.line()]), end="")
    for line, row in zip(lines, rows, strict=True):
        console.print(Segments([*line, Segment.line()]), end="")
        console.print(
            Padding(Text(in_words(row, searched), style=COLOURS.get(row.state, "")), (0, 0, 0, INDENT))
        )


def board_table(board: Board, rows: Sequence[Row], columns: Mapping[str, str] | None) -> Table:
    """'=' marks what cannot be told from the best, '-' what has no rank. Confirmed numbers have columns of
    their own, and then '=' is about them.

    columns: title -> the dotted name of the value that stands in it; None: no values, no trials.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    adjusted, all_ranked = is_adjusted(board), all(row.rank is not None for row in board.rows)
    confirmed = bool(board.confirmed)
    titles = ["rank", *(["confirmed", "95% interval", "above best"] if confirmed else [])]
    titles += ["search val_ppl" if confirmed else "val_ppl", "95% interval"]
    titles += [
        *(["as run"] if adjusted else []),
        "above best",
        *board.also,
        *(["front"] if board.also else []),
    ]
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    for title in columns or ():
        table.add_column(title)
    if columns is not None:
        for title in ("seeds", *(() if all_ranked else ("state", "step")), "trials"):
            table.add_column(title, justify="right")
    tied = sum(row.rank == 1 for row in board.rows) > 1
    for row in rows:
        low, high = perplexity(row.val_ppl_low), perplexity(row.val_ppl_high)
        cells = [
            "-" if row.rank is None else f"{row.rank}{'=' if tied and row.rank == 1 else ''}",
            *(_confirmed_cells(row) if confirmed else []),
            perplexity(row.val_ppl),
            f"[{low}, {high}]" if low and high else "",
            *([perplexity(row.val_ppl_as_run)] if adjusted else []),
            above_best(row),
            *(number(row.metrics.get(name)) for name in board.also),
            *(["*" if row.pareto else ""] if board.also else []),
        ]
        if columns is not None:
            cells += [*(shown(row.values.get(name)) for name in columns.values()), str(row.seeds or "")]
            cells += [] if all_ranked else [row.state, f"{row.step:,}" if row.step else ""]
            cells += [", ".join(str(trial) for trial in row.trials)]
        table.add_row(
            *(Text(cell) for cell in cells), style=COLOURS.get(row.state, "") if row.rank is None else ""
        )
    return table


def _confirmed_cells(row: Row) -> list[str]:
    low, high = perplexity(row.confirmed_low), perplexity(row.confirmed_high)
    above = "" if row.confirmed_why == "best" else _above(row.confirmed_difference, row.confirmed_margin)
    return [perplexity(row.confirmed_ppl), f"[{low}, {high}]" if low and high else "", above]


def is_adjusted(board: Board) -> bool:
    """Whether any row's number differs from what its trials reported, as shown."""
    return any(perplexity(row.val_ppl) != perplexity(row.val_ppl_as_run) for row in board.rows)


def above_best(row: Row) -> str:
    """'+0.0077 ±0.0912': nats per token, and what they must exceed; '' for the best, and without a rank."""
    return "" if row.why == "best" else _above(row.difference, row.margin)


def _above(difference: float | None, margin: float | None) -> str:
    if difference is None:
        return ""
    return f"{difference:+.4f} ±{'?' if margin is None else f'{margin:.4f}'}"


def in_words(row: Row, searched: Sequence[str]) -> str:
    """'trial 7, failed: block_size 4, schedule gaussian, mu 0.44'."""
    trials = f"trial{'s' * (len(row.trials) > 1)} {', '.join(str(trial) for trial in row.trials)}"
    state = "" if row.state == "complete" else f", {row.state}"
    return f"{trials}{state}: {values(row.values, searched)}"


def values(of: Mapping[str, Any], names: Sequence[str]) -> str:
    """'block_size 4, schedule gaussian, mu 0.44, clip.low 0.3': what is there of the names, in short."""
    prefix = common_prefix(names)
    short = {}
    for name in names:
        group, _, word = name.rpartition(".")
        kind = f"{group}.name" in names  # the group's kind stands beside: mu is gaussian's
        short[name] = (
            group.removeprefix(prefix) if word == "name" else word if kind else name.removeprefix(prefix)
        )
    return ", ".join(f"{short[name]} {shown(of[name])}" for name in names if of.get(name) is not None)


def verdict(board: Board) -> str:
    """What may be said about the best, and no more."""
    ranked = [row for row in board.rows if row.rank is not None]
    if not ranked and board.state in FINAL:
        return "Nothing can be ranked: no trial was completed."
    if not ranked:
        return "Nothing can be ranked yet: a configuration is once one of its trials is complete."
    if board.confirmed:
        return _verdict_of_confirmed(board)
    if len(ranked) == 1:
        return "One configuration is ranked: there is nothing to compare it to."
    if board.winner:
        return "Rank 1 is better than all others by more than the error of the difference (95%, all pairs)."
    tied = [row for row in ranked if row.tied_with_best]
    said = f"No winner: {len(tied)} of {len(ranked)} configurations (=) cannot be told from the best at 95%."
    if any(row.why == "one seed" for row in tied):
        said += " With one seed, and no spread over seeds known, a row is tied whatever its number."
    return said


def _verdict_of_confirmed(board: Board) -> str:
    rows, tied = board.confirmed, sum(row.confirmed_tied for row in board.confirmed)
    if len(rows) == 1:
        return "One configuration is confirmed: on fresh seeds there is nothing to compare it to."
    if board.winner:
        return (
            f"Rank 1 is better than the {len(rows) - 1} others confirmed by more than the error of the "
            "difference (95%, all pairs, fresh seeds)."
        )
    return (
        f"No winner: {tied} of {len(rows)} confirmed configurations (=) cannot be told from the best at 95%."
    )


def legend(board: Board) -> list[str]:
    """What the columns mean, where it cannot be guessed, and what else to know; a line each."""
    ranked = [row for row in board.rows if row.rank is not None]
    lines = []
    if board.confirmed:
        seeds = max(row.confirmed_seeds for row in board.confirmed)
        lines.append(
            f"confirmed: on {seeds} seeds and pretrains that had no part in the search. The search's own "
            "numbers flatter its best: they were picked for them."
        )
    if len(ranked) > 1:
        strays = [row.val_ppl for row in ranked] != sorted(row.val_ppl or 0.0 for row in ranked)
        lines += [
            "95% interval: of each value by itself, over evaluation text and training seeds.",
            "above best: nats per token, paired and so known better; a row is tied (=) while within its ±.",
        ]
        if strays and not board.confirmed:
            lines.append("A tied row may have a higher val_ppl than one that is not: its ± is wider.")
    if board.also and ranked:
        lines.append(
            "front: none is better in every metric of the search than one marked *, errors left aside."
        )
    if is_adjusted(board):
        lines.append(
            "as run: what the trials reported. val_ppl takes out that some seeds are easier than others for "
            "every configuration, so that rows of different seeds can be compared."
        )
    floors = ranked[0].metrics if ranked else {}
    if "unigram_nelbo" in floors and "bigram_nelbo" in floors:
        unigram, bigram = (perplexity(math.exp(floors[f"{model}_nelbo"])) for model in ("unigram", "bigram"))
        lines.append(
            f"On the same tokens a unigram model has perplexity {unigram}, an add-one bigram {bigram}."
        )
    bad = sum(board.trials.get(state, 0) for state in ("failed", "lost"))
    if bad:
        trials = "1 trial" if bad == 1 else f"{bad} trials"
        again = "; to try again: --as NEWNAME" if board.state in FINAL else ""
        lines.append(f"{trials} failed; why: python -m sweeper show {shlex.quote(board.name)} TRIAL{again}")
    if board.state not in FINAL:
        counts = ", ".join(f"{count} {state}" for state, count in board.trials.items()) or "no trials yet"
        lines.append(f"Not final: the sweep is {board.state} ({counts}).")
    return lines
