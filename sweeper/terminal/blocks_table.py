"""The board in blocks of one size, on a terminal: each configuration's best, and the specialist."""

from collections.abc import Sequence
from typing import Any

from sweeper.results.estimates import InBlocks
from sweeper.terminal.board_columns import above, interval
from sweeper.terminal.board_table import values
from sweeper.terminal.console import perplexity, print_table, print_text


def print_blocks(rows: Sequence[InBlocks], size: int, varied: Sequence[str], limit: int | None) -> None:
    """size: of the blocks. varied: names of the values that tell configurations apart."""
    if not rows:
        print_text(
            f"nothing was evaluated in blocks of {size}: evaluation.block_sizes says at which sizes the best "
            "checkpoint of a run is read"
        )
        return
    numbers = [f"val_ppl/L{size}", "95% interval", "above the specialist"]
    cells = [_cells(place, row, varied) for place, row in enumerate(rows[:limit], start=1)]
    print_table(["", *numbers, "trained", "trials", "values"], cells, right=(0, 1, 2, 3))
    if limit and limit < len(rows):
        print_text(f"{len(rows) - limit} more rows without --limit")
    print_text(
        f"The bound of best checkpoints on valid, read in blocks of {size}. 95% interval: of each value by "
        f"itself, over {rows[0].estimate.over}."
    )
    specialist = next((row for row in rows if row.trained), None)
    if specialist is None:
        print_text(f"No complete run was trained in blocks of {size} alone: there is no specialist.")
        return
    who = f"trial{'s' * (len(specialist.trials) > 1)} {_trials(specialist)}"
    print_text(
        f"The specialist, {who}, is the best that was trained in blocks of {size} alone. Differences to it "
        "are paired by document and seed, their intervals for all pairs at once."
    )


def as_json(rows: Sequence[InBlocks], size: int) -> dict[str, Any]:
    specialist = next((row.configuration for row in rows if row.trained), None)
    found = [{**row._asdict(), "estimate": row.estimate._asdict()} for row in rows]
    return {"block_size": size, "specialist": specialist, "rows": found}


def _cells(place: int, row: InBlocks, varied: Sequence[str]) -> list[str]:
    it = row.estimate
    to_specialist = "" if it.difference is None else above(it.difference, it.margin)
    return [
        str(place),
        perplexity(it.value),
        interval(it.low, it.high),
        "" if it.margin == 0 else to_specialist,  # of itself
        _sizes(row),
        _trials(row),
        values(row.values, varied),
    ]


def _sizes(row: InBlocks) -> str:
    """'4', or 'mixture 1, 4, 16'."""
    kind = row.values.get("finetune.blocks.name", "fixed")
    size = row.values.get("finetune.block_size", "")
    if kind == "fixed":
        return str(size)
    return f"{kind} {', '.join(map(str, row.values['finetune.blocks.sizes'])) or f'up to {size}'}"


def _trials(row: InBlocks) -> str:
    return ", ".join(map(str, row.trials))
