"""The board on a terminal: the answer, a table, and what its columns say."""

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.segment import Segment, Segments
from rich.text import Text

from sweeper.results.answer import NOTHING
from sweeper.results.leaderboard import Board
from sweeper.results.row import Row
from sweeper.statistics.clusters import FEW
from sweeper.terminal.board_columns import COLUMNS, Column, chosen, column_of, in_order, of_value, races
from sweeper.terminal.console import COLOURS, PIPE_WIDTH, common_prefix, perplexity, shown
from sweeper.terminal.grid import Grid

INDENT = 6  # of the values below a row


def board_text(
    board: Board,
    searched: Sequence[str],
    limit: int | None = None,
    columns: Sequence[str] | None = None,
    sort: str | None = None,
) -> str:
    """A column for each searched value where the terminal is wide enough, else the values below each row.

    columns: those alone. sort: the column to sort by. Raises NoColumn.
    """
    rows = in_order(board, sort)[:limit]
    asked = None if columns is None else [column_of(board, name) for name in columns]
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=PIPE_WIDTH)
    with console.capture() as captured:
        for alarm in board.alarms:
            console.print(Text(alarm, style="bold red"))
        for line in board.said:
            console.print(Text(line))
        if asked is not None:
            board_table(board, rows, asked).print_on(console)
        elif rows:
            _print_with_values(console, board, rows, searched)
        for line in legend(board, columns):
            console.print(Text(line))
    return captured.get()


def _print_with_values(console: Console, board: Board, rows: Sequence[Row], searched: Sequence[str]) -> None:
    numbers = [column_of(board, name) for name in chosen(board)]
    more = _after_numbers(board, rows, searched)
    wide = board_table(board, rows, numbers + more)
    if console.width >= PIPE_WIDTH or wide.fits(console.width):
        wide.print_on(console)
        return
    head, *lines = board_table(board, rows, numbers).lines(console)
    console.print(Segments([*head, Segment.line()]), end="")
    for line, row in zip(lines, rows, strict=True):
        console.print(Segments([*line, Segment.line()]), end="")
        said = Text(in_words(row, searched), style=COLOURS.get(row.state, ""))
        console.print(Padding(said, (0, 0, 0, INDENT)))


def all_columns(board: Board, searched: Sequence[str]) -> list[Column]:
    """Of a board that is as wide as it likes: its numbers, a column for each searched value, its trials."""
    return [
        *(column_of(board, name) for name in chosen(board)),
        *_after_numbers(board, board.rows, searched),
    ]


def _after_numbers(board: Board, rows: Sequence[Row], searched: Sequence[str]) -> list[Column]:
    prefix = common_prefix(searched)
    more = [of_value(name)._replace(title=name.removeprefix(prefix)) for name in _of(rows, searched)]
    all_ranked = all(row.rank is not None for row in board.rows)
    return more + [COLUMNS[name] for name in ("seeds", *(() if all_ranked else ("state", "step")), "trials")]


def _of(rows: Sequence[Row], searched: Sequence[str]) -> list[str]:
    """What any row has a value of."""
    return [name for name in searched if any(name in row.values for row in rows)]


def metrics_shown(also: Sequence[str]) -> list[str]:
    """Of rows, where no column is asked for. also: other metrics that the sweep searches on."""
    return ["test_ppl", *FLOORS, *also]


def board_table(board: Board, rows: Sequence[Row], columns: Sequence[Column]) -> Grid:
    """A row's place on the board stands before all else: the answer names it so."""
    place = {row.configuration: i for i, row in enumerate(board.rows, start=1)}
    return Grid(
        ["", *(column.title for column in columns)],
        [True, *(column.right for column in columns)],
        [[str(place[row.configuration]), *(column.cell(row) for column in columns)] for row in rows],
        [COLOURS.get(row.state, "") if row.rank is None else "" for row in rows],
    )


def in_words(row: Row, searched: Sequence[str]) -> str:
    """'trial 7, failed: block_size 4, schedule gaussian, mu 0.44'."""
    numbers = COLUMNS["trials"].cell(row)
    state = "" if row.state == "complete" else f", {row.state}"
    return f"trial{'s' * (len(row.trials) > 1)} {numbers}{state}: {values(row.values, searched)}"


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


def legend(board: Board, columns: Sequence[str] | None = None) -> list[str]:
    """What the columns mean, where it cannot be guessed, and what else to know; a line each."""
    ranked = [row for row in board.rows if row.rank is not None]
    there = chosen(board) if columns is None else list(columns)
    meanings = {**_MEANINGS, "above": _above_first(board)} if races(board) > 1 else _MEANINGS
    lines = [meanings[name] for name in there if name in meanings and len(ranked) > 1]
    if {"interval", "confirmed_interval"} & {*there} and ranked:
        over = "evaluation text and training seeds" if ranked[0].over_seeds else "evaluation text alone"
        lines.append(f"95% interval: of each value by itself, over {over}.")
    if "above" in there and any(NOTHING in answer.text for answer in board.answers):
        lines.append(
            f"{NOTHING}: the answer bounds a loss on one side. The interval of a difference has two "
            "sides and may reach below 0 all the same."
        )
    if board.confirmed:
        seeds = [row.confirmed_seeds for row in board.confirmed]
        least = "" if min(seeds) == max(seeds) else f"{min(seeds)} to "
        lines.append(
            f"fresh: val_ppl on {least}{max(seeds)} seeds and pretrains that had no part in the search. The "
            "search's own numbers flatter its best: they were picked for them."
        )
    if board.numbered_before:
        lines.append(
            "This sweep ended under an older rule: its rows are ranked by this version's, so ranks and ties "
            "may not be what was printed then."
        )
    if ranked and 1 < board.effective_documents < FEW:
        lines.append(
            f"The evaluation text is worth {board.effective_documents:.0f} equal documents: below {FEW} "
            "an interval over text is a rough one."
        )
    if ranked and (floors := _floors(ranked[0].metrics)):
        lines.append(f"On the same tokens {floors}.")
    if len(board.precisions) == 1:
        lines.append(f"Computed in {next(iter(board.precisions))}.")
    bad = sum(board.trials.get(state, 0) for state in ("failed", "lost"))
    if bad:
        trials = "1 trial" if bad == 1 else f"{bad} trials"
        name = shlex.quote(board.name)
        again = f"; to try again: python -m sweeper retry {name}" if board.ended else ""
        lines.append(f"{trials} failed; why: python -m sweeper show {name} TRIAL{again}")
    if not board.ended:
        counts = ", ".join(f"{count} {state}" for state, count in board.trials.items()) or "no trials yet"
        lines.append(f"Not final: the sweep is {board.state} ({counts}).")
    return lines


_MEANINGS = {
    "rank": "rank: the places that a row may have; =: it may be the best (95%).",
    "above": (
        "above row 1: of perplexity, paired by seed and document; 95%, for all pairs at once. "
        "[?]: one seed, and no spread over seeds is known."
    ),
    "p_best": "best: the chance of being the best one, by all its runs, the search's too. No guarantee.",
    "p_within": "near best: the chance of being within 1% of the best one.",
    "regret": "may lose: what taking this row may cost at most, of perplexity (95%, on one side).",
    "optimism": (
        "optimism: by how much picking flattered val_ppl: valid against test of the fresh runs, less the "
        "same of the search's."
    ),
    "limits": "limits: parts of the variance of a tied row's difference to the first.",
    "as_run": (
        "as run: what its trials are ranked by, of their best checkpoints: ranked_ppl where that was "
        "measured, else the log's val_ppl. The column val_ppl takes out that some seeds are easier than "
        "others for every configuration, so that rows of different seeds can be compared."
    ),
    "front": "front: none is better in every metric of the search than one marked *, errors left aside.",
}


def _above_first(board: Board) -> str:
    assert board.fresh is not None
    assert board.fresh.settle is not None  # several races: `settle` has told them apart
    return (
        f"above first: of perplexity, to the first row of its own {board.fresh.settle.by}: each was raced by "
        "itself. Paired by seed and document; 95%, for all pairs of a race at once."
    )


FLOORS = {  # by metric; in words as they follow each other
    "unigram_nelbo": "a unigram model has perplexity {}",
    "bigram_nelbo": "an add-one bigram {}",
    "kn_bigram_nelbo": "a Kneser-Ney bigram {}",
    "kn_trigram_nelbo": "a Kneser-Ney trigram {}",
    "source_nelbo": "the source itself {}",
}


def _floors(metrics: Mapping[str, float]) -> str:
    """What simpler models reach, as far as the rows say it."""
    return ", ".join(
        said.format(perplexity(math.exp(metrics[name]))) for name, said in FLOORS.items() if name in metrics
    )
