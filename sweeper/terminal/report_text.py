"""A report as Markdown and as HTML: the same blocks, twice written."""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from sweeper.results.measured import FAILS, Difference
from sweeper.results.report import Finding, Ratio, Report, Weight
from sweeper.terminal.console import factor, number, perplexity
from sweeper.words import times

NAMES = {
    "objective_ppl": "exp(objective)",
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
    ratios = reference.compare == "ratio"
    head = [""]
    for column, metric in reference.columns.items():
        ours = f"{NAMES.get(metric, metric)} [95%]"
        head += [f"printed {column}", ours, *(["printed ratio", "ratio [95%]"] if ratios else []), ""]
    weighted = any(row.weight for row in found.rows)
    head += ["objective / NELBO [95%]", "c", ""] if weighted else []
    head.append("seeds")
    rows = []
    for row in found.rows:
        line = [row.name]
        for cell in row.cells.values():
            line += [_shown(cell.printed), _with_interval(cell.ours, cell.low, cell.high)]
            line += (_ratio(cell.ratio) if ratios else []) + [cell.word]
        if weighted:
            line += ["", "", ""] if row.weight is None else _weight(row.weight)
        line.append(str(max((cell.seeds for cell in row.cells.values()), default=0) or ""))
        rows.append(line)
    above = [*([reference.source] if reference.source else []), *found.explained()]
    below = [
        (_claim(each), [_difference(part, each) for part in each.differences]) for each in found.findings
    ]
    return Blocks(reference.title, above, head, rows, below, list(reference.notes))


def markdown(found: Report) -> str:
    it = blocks(found)
    lines = [f"## {it.title}", "\n\n".join(it.above), ""]
    lines += [_line(it.head), _line(["---"] * len(it.head)), *map(_line, it.rows), ""]
    for claim, parts in it.below:
        lines += [claim, *(f"- {part}" for part in parts), ""]
    lines += [f"- {note}" for note in it.notes]
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


def _with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return _shown(value)
    return f"{_shown(value)} [{_shown(low)}, {_shown(high)}]"


def _ratio(ratio: Ratio | None) -> list[str]:
    if ratio is None:
        return ["", ""]
    ends = "" if ratio.low is None or ratio.high is None else f" [{ratio.low:.3f}, {ratio.high:.3f}]"
    return [f"{ratio.printed:.3f}", f"{ratio.ours:.3f}{ends}"]


def _weight(weight: Weight) -> list[str]:
    ends = f" ±{weight.half:.4f}" if math.isfinite(weight.half) else ""
    return [f"{weight.ours:.4f}{ends}", f"{weight.c:.4f}", weight.word]


def _claim(finding: Finding) -> str:
    many = len(finding.differences) > 1
    how = " (each comparison at 95% by itself)" if many and finding.word == FAILS else ""
    return f"'{finding.claim.says}': {finding.word}{how}."


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
        ratio, low, high = map(times, ends)
        said = f"{factor(ratio, 3)} times [{factor(low, 3)}, {factor(high, 3)}]"
    return f"{by} of {part.less} against {part.more}: {said}: {part.word}"


def _shown(value: float | None) -> str:
    return "" if value is None else perplexity(value) if value < 1e9 else number(value)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _safe(text: str) -> str:
    return html.escape(text)
