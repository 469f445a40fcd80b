"""Claims and what came of them, as a table and as a page. A verdict is one of three words, and never more."""

import math
from collections.abc import Sequence

from sweeper.results.measured import Difference
from sweeper.results.report import Report
from sweeper.terminal.console import number
from sweeper.words import times


def rows(found: Sequence[Report]) -> list[list[str]]:
    """A line for each comparison; a claim's own words stand in its first."""
    lines = []
    for report in found:
        for finding in report.findings:
            for place, part in enumerate(finding.differences):
                first = place == 0
                lines.append(
                    [
                        report.sweep if first else "",
                        finding.word if first else "",
                        f"{_ratio(part)}  {part.less} / {part.more}",
                        _sees(part),
                        str(report.seeds) if first else "",
                        f"{60 * report.hours:.1f}" if first else "",
                    ]
                )
    return lines


def page(found: Sequence[Report], missing: Sequence[str]) -> str:
    """Markdown. missing: claims that have not run to their end."""
    lines = ["| claim | verdict | would have seen | seeds | CPU minutes |", "| --- | --- | --- | --- | --- |"]
    for report in found:
        for finding in report.findings:
            sees = max((part.sees for part in finding.differences), default=math.inf)
            cells = (
                f"[{finding.claim.says}](#{report.sweep})",
                f"**{finding.word}**",
                _share(sees),
                str(report.seeds),
                f"{60 * report.hours:.1f}",
            )
            lines.append(f"| {' | '.join(cells)} |")
    if missing:
        lines += ["", f"Not run to its end: {', '.join(f'`{name}`' for name in missing)}."]
    for report in found:
        lines += ["", f"### {report.sweep}", report.reference.source, ""]
        for finding in report.findings:
            lines += [f"'{finding.claim.says}': **{finding.word}**, by {finding.claim.by}.", ""]
            lines += [
                f"- {part.less} over {part.more}: {_ratio(part)}: {part.word}; would have seen {_sees(part)}"
                for part in finding.differences
            ]
        lines += ["", *(f"{note}" for note in report.reference.notes)]
    return "\n".join(lines) + "\n"


def _ratio(part: Difference) -> str:
    if not math.isfinite(part.half):
        return "too few seeds"
    middle, low, high = (times(part.log_ratio + end) for end in (0.0, -part.half, part.half))
    return f"{number(middle)} [{number(low)}, {number(high)}]"


def _sees(part: Difference) -> str:
    return _share(part.sees)


def _share(log: float) -> str:
    """As a share of what it is compared with: 2.1%."""
    return f"{100 * math.expm1(log):.1f}%" if log < math.log(100) else "nothing"
