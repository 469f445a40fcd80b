"""What a command says on stdout: values in words, lines, tables, one JSON document."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sweeper.words import excess

COLOURS = {
    "queued": "dim",
    "running": "cyan",
    "paused": "yellow",
    "complete": "green",
    "pruned": "dim",
    "failed": "red",
    "lost": "red",
    "stopped": "yellow",
}
SCHEMA_VERSION = 1
HUGE = 1e6  # from here on a perplexity is written with an exponent: a run has diverged
PIPE_WIDTH = 300  # columns, where there is no terminal to fit


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value == round(value) and 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def perplexity(value: float | None) -> str:
    """Four digits, so that the points of a column stand below each other."""
    if value is None:
        return ""
    if value >= HUGE:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:#.4g}"


def factor(ratio: float, digits: int = 4) -> str:
    """Of one perplexity to another."""
    return f"{ratio:.{digits}f}" if ratio < HUGE else f"{ratio:.3g}"


def share(nats: float) -> str:
    """'+0.9%': a difference in nats per token, as a share of perplexity."""
    return f"{signed_percent(nats, 1)}%"


def signed_percent(nats: float, digits: int) -> str:
    """'+0.9': the same, without its sign of percent."""
    percent = 100 * excess(nats)
    return f"{percent:+.{digits}f}" if percent < HUGE else f"{percent:+.3g}"


# --- data on stdout -------------------------------------------------------------------------
def print_json(document: Mapping[str, Any]) -> None:
    """Exactly one document, and nothing else, on stdout."""
    print(json.dumps({"schema_version": SCHEMA_VERSION, **document}, indent=2, allow_nan=False))


def print_text(*lines: str) -> None:
    for line in lines:
        print(line)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """right: the places of the columns that hold numbers. A pipe gets every line whole. No markup is read."""
    from rich.console import Console  # here: most commands draw no table, and start sooner
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, title in enumerate(titles):
        table.add_column(title, justify="right" if place in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(markup=False, highlight=False)
    if not console.is_terminal:
        console = Console(markup=False, highlight=False, width=PIPE_WIDTH)
    console.print(table)


def shown(value: Any) -> str:
    """A value as it would stand in YAML; nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return number(value) if isinstance(value, float) else str(value)


def common_prefix(names: Sequence[str]) -> str:
    """'finetune.' for names that all begin with it; '' where they share no group."""
    groups = {name.partition(".")[0] for name in names if "." in name}
    return f"{groups.pop()}." if len(groups) == 1 and all("." in name for name in names) else ""


def moment(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")
