"""A report as Markdown and as HTML: the same blocks, twice written."""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from sweeper.console import number, perplexity
from sweeper.reference import OVER
from sweeper.report import Cell, Difference, Finding, Report

CLOSE_TO_C = 0.05  # of the weight c: so far may the objective over the bound be from it
NAMES = {
    "test_ppl": "test_ppl",
    "val_ppl": "val_ppl",
    "objective_ppl": "exp(objective)",
    "var_nelbo": "var_nelbo",
    "var_nelbo_loglinear": "var_nelbo (loglinear)",
}


class Blocks(NamedTuple):
    title: str
    above: list[str]
    head: list[str]
    rows: list[list[str]]
    below: list[tuple[str, list[str]]]  # a claim and its word; its comparisons
    notes: list[str]


def blocks(found: Report) -> Blocks:
    reference = found.reference
    head = [""]
    for column, metric in reference.columns.items():
        head += [f"printed {column}", NAMES.get(metric, metric), "95% interval", ""]
    weighted = any(row.weight for row in found.rows)
    head += ["log of exp(objective) over NELBO", "c", ""] if weighted else []
    head.append("seeds")
    rows = []
    for row in found.rows:
        line = [row.name]
        for cell in row.cells.values():
            line += [_shown(cell.printed), _shown(cell.ours), _interval(cell), cell.word]
        if weighted:
            line += ["", "", ""] if row.weight is None else _weight(*row.weight)
        line.append(str(max((cell.seeds for cell in row.cells.values()), default=0) or ""))
        rows.append(line)
    above = [*([reference.source] if reference.source else []), _what_words_mean(found)]
    below = [
        (_claim(each), [_difference(part, each) for part in each.differences]) for each in found.findings
    ]
    return Blocks(reference.title, above, head, rows, below, list(reference.notes))


def markdown(found: Report) -> str:
    it = blocks(found)
    lines = [f"## {it.title}", *it.above, ""]
    lines += [_line(it.head), _line(["---"] * len(it.head)), *map(_line, it.rows), ""]
    for claim, parts in it.below:
        lines += [claim, *(f"- {part}" for part in parts), ""]
    lines += [f"{note}" for note in it.notes]
    return "\n".join(lines).rstrip() + "\n"


def html_page(found: Report) -> str:
    """A page by itself: no script, nothing from elsewhere."""
    it = blocks(found)
    head = "".join(f"<th>{_safe(cell)}</th>" for cell in it.head)
    rows = "\n".join(f"<tr>{''.join(f'<td>{_safe(cell)}</td>' for cell in row)}</tr>" for row in it.rows)
    below = "\n".join(
        f"<p>{_safe(claim)}</p>\n<ul>{''.join(f'<li>{_safe(part)}</li>' for part in parts)}</ul>"
        for claim, parts in it.below
    )
    above, notes = ("\n".join(f"<p>{_safe(text)}</p>" for text in texts) for texts in (it.above, it.notes))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{_safe(it.title)}</title>\n'
        "<style>body{font-family:sans-serif;margin:2em}td,th{padding:.2em .6em;text-align:right}"
        "td:first-child,th:first-child{text-align:left}table{border-collapse:collapse}"
        "tr+tr td{border-top:1px solid #ccc}</style></head>\n"
        f"<body><h1>{_safe(it.title)}</h1>\n{above}\n<table>\n<tr>{head}</tr>\n{rows}\n</table>\n"
        f"{below}\n{notes}\n</body></html>\n"
    )


def _what_words_mean(found: Report) -> str:
    over = own = ""
    if found.reference.compare == "ratio":
        over = " over its column's first"
        if any(OVER in row for row in found.reference.rows):
            over += ", or, where rows were printed from one draw of times, over the first of these"
    if noise := found.reference.noise:
        own = f" The error of a printed draw is taken as {noise:g} nats."
    hours = f"{found.hours:.2f} processor-hours, {found.seeds} seeds."
    return (
        f"Each number{over}: reproduced, where the 95% interval of ours lies within 10% of the printed one; "
        f"differs, where it leaves it out; else it cannot be told apart.{own} {hours}"
    )


def _weight(ours: float, c: float) -> list[str]:
    close = abs(ours / c - 1) <= CLOSE_TO_C
    return [f"{ours:.4f}", f"{c:.4f}", f"{'within' if close else 'not within'} {CLOSE_TO_C:.0%}"]


def _claim(finding: Finding) -> str:
    return f"'{finding.claim.says}': {finding.word}."


def _difference(part: Difference, finding: Finding) -> str:
    """nats for a NELBO, per cent for all else."""
    by = finding.claim.by
    if not math.isfinite(part.half):
        return f"{by} of {part.less} against {part.more}: {part.word}, with too few seeds"
    if by.endswith("nelbo") and not by.startswith("var"):
        low, high = part.log_ratio - part.half, part.log_ratio + part.half
        said = f"{part.log_ratio:+.4f} [{low:+.4f}, {high:+.4f}] nats per token"
    else:
        ends = (part.log_ratio, part.log_ratio - part.half, part.log_ratio + part.half)
        ratio, low, high = map(math.exp, ends)
        said = f"{ratio:.3f} times [{low:.3f}, {high:.3f}]"
    return f"{by} of {part.less} against {part.more}: {said}: {part.word}"


def _interval(cell: Cell) -> str:
    return "" if cell.low is None or cell.high is None else f"[{_shown(cell.low)}, {_shown(cell.high)}]"


def _shown(value: float | None) -> str:
    return "" if value is None else perplexity(value) if value < 1e9 else number(value)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _safe(text: str) -> str:
    return html.escape(text)
