"""python -m benchmarks.calibration [--quick] [--only WORDS]: does an answer keep what it promises?

Boards of known truth (benchmarks/worlds.py; benchmarks/trained.py: of runs that were really trained) go
through the product's ranking, race and compare. Each cell has the figure that is asked, the one that was
measured, and its 95% interval over boards; it fails where the interval lies wholly beyond what is asked.
Cells of which nothing is asked are reported. Beside: the rule before, had all contenders run all rounds,
looked at after each; and the best single run.

--minutes ends it early: boards are dealt in turn to all studies, so each has what there was time for."""

import json
import math
import time
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.asked import STUDIES, Cell, Study
from benchmarks.document import DOCS, RESULTS, finish, options
from benchmarks.worlds import Array

DEAL = 50  # boards at a time
AGAIN = 200  # draws of the boards, for the interval of what is no share
PAGE = DOCS / "calibration.md"
TABLE = "## The table\n"
KEPT = RESULTS / "calibration.json"


def main() -> None:
    parser = options("calibration", __doc__, quick="Two boards of each study.")
    parser.add_argument(
        "--only",
        default="",
        help="Studies with these words in their name or their rows; of the others, what was kept.",
    )
    parser.add_argument("--minutes", type=float, default=math.inf, help="No boards are begun after.")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    chosen = [
        place
        for place, study in enumerate(STUDIES)
        if any(given.only in text for text in (study.name, *(cell.row for cell in study.cells)))
    ]
    if given.quick:
        found = {place: observed(place, 0, 2) for place in chosen}
    else:
        found = _dealt(chosen, given.processes, time.monotonic() + 60 * given.minutes)
    rows = [row for place in chosen if place in found for row in judged(STUDIES[place], found[place])]
    print("\n".join(table(rows)))
    if given.only:
        rows = _with_others(rows)
    failed = [f"{row['row']} ({row['study']})" for row in rows if row["passed"] is False]
    asked = sum(row["passed"] is not None for row in rows)
    summary = {"asked": asked, "passed": asked - len(failed), "failed": failed}
    if given.write:
        PAGE.write_text(page(PAGE.read_text(), rows, summary))
    settings = {"studies": len(chosen), "processes": given.processes}
    finish("calibration", settings, rows, summary, write=given.write)


def _with_others(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order of the studies: these, and what was kept of those that were not measured now."""
    measured = {row["study"] for row in rows}
    kept = json.loads(KEPT.read_text())["rows"] if KEPT.exists() else []
    order = {study.name: place for place, study in enumerate(STUDIES)}
    found = [*rows, *(row for row in kept if row["study"] in order and row["study"] not in measured)]
    return sorted(found, key=lambda row: order[row["study"]])


def observed(place: int, deal: int, boards: int) -> dict[str, Array]:
    """fact: of each board."""
    study = STUDIES[place]
    rng = np.random.default_rng((zlib.crc32(study.name.encode()), deal))
    facts = [study.look(board) for board in study.boards(rng, boards)]
    return {name: np.array([each[name] for each in facts]) for name in facts[0]}


def _dealt(chosen: Sequence[int], processes: int, end: float) -> dict[int, dict[str, Array]]:
    """Deal by deal, in turn; as many as a study wants, as long as there is time."""
    wanted = {place: math.ceil(STUDIES[place].count / DEAL) for place in chosen}
    deals = [(place, deal) for place in chosen for deal in range(wanted[place])]
    deals.sort(key=lambda each: each[1] / wanted[each[0]])
    found: dict[int, list[dict[str, Array]]] = {}
    with ProcessPoolExecutor(processes) as pool:
        waiting, running = iter(deals), {}
        while True:
            while len(running) < processes and time.monotonic() < end and (deal := next(waiting, None)):
                running[pool.submit(observed, *deal, DEAL)] = deal[0]
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                found.setdefault(running.pop(future), []).append(future.result())
    return {
        p: {name: np.concatenate([x[name] for x in each]) for name in each[0]} for p, each in found.items()
    }


def judged(study: Study, facts: dict[str, Array]) -> Iterator[dict[str, Any]]:
    for cell in study.cells:
        value, (low, high) = cell.of(facts), interval(cell, facts)
        asked = math.isfinite(cell.at_most) or math.isfinite(cell.at_least)
        yield {
            "row": cell.row,
            "study": study.name,
            "at_most": cell.at_most if math.isfinite(cell.at_most) else None,
            "at_least": cell.at_least if math.isfinite(cell.at_least) else None,
            "measured": _finite(value),
            "low": _finite(low),
            "high": _finite(high),
            "boards": len(next(iter(facts.values()))),
            "passed": (low <= cell.at_most and high >= cell.at_least) if asked else None,
            "formerly": float(np.nanmean(facts[cell.formerly])) if cell.formerly in facts else None,
            "single": float(np.nanmean(facts[cell.single])) if cell.single in facts else None,
        }


def _finite(value: float) -> float | None:
    """JSON has no word for what was never reached, or never seen."""
    return value if math.isfinite(value) else None


def interval(cell: Cell, facts: dict[str, Array]) -> tuple[float, float]:
    """95%: Clopper's and Pearson's of a share; else of boards drawn again."""
    if not callable(cell.figure):
        value_N = facts[cell.figure]
        value_N = value_N[~np.isnan(value_N)]
        n, k = len(value_N), float(value_N.sum())
        if n == 0:
            return 0.0, 1.0
        if set(np.unique(value_N)) <= {0.0, 1.0}:
            low = float(stats.beta.ppf(0.025, k, n - k + 1)) if k else 0.0
            return low, float(stats.beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    rng, N = np.random.default_rng(0), len(next(iter(facts.values())))
    draws = []
    for _ in range(AGAIN):
        at_N = rng.integers(N, size=N)
        draws.append(cell.of({name: value_N[at_N] for name, value_N in facts.items()}))
    low, high = np.quantile(draws, (0.025, 0.975), method="nearest")
    return float(low), float(high)


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Markdown."""
    yield "| | boards | asked | measured | 95% | | rule before | best single run |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    last = ""
    for row in sorted(rows, key=_order(rows)):
        if row["row"] != last:
            yield f"| **{row['row']}** | | | | | | | |"
            last = row["row"]
        asked = " ".join(
            f"{word} {row[key]:g}"
            for word, key in (("≥", "at_least"), ("≤", "at_most"))
            if row[key] is not None
        )
        verdict = {True: "passes", False: "**fails**", None: "reported"}[row["passed"]]
        beside = " | ".join("" if row[key] is None else f"{row[key]:.3f}" for key in ("formerly", "single"))
        value, low, high = (_said(row[key]) for key in ("measured", "low", "high"))
        measured = f"{value} | {low} to {high}"
        yield f"| {row['study']} | {row['boards']} | {asked} | {measured} | {verdict} | {beside} |"


def _said(value: float | None) -> str:
    return "—" if value is None else f"{value:.3f}"


def _order(rows: Sequence[dict[str, Any]]) -> Any:
    """Rows of the table as they are first met; what is only reported, last."""
    met = {name: place for place, name in reversed(list(enumerate(row["row"] for row in rows)))}
    return lambda row: (row["passed"] is None, met[row["row"]])


def page(text: str, rows: Sequence[dict[str, Any]], summary: dict[str, Any]) -> str:
    """What is written by hand, and the table."""
    said = f"{summary['passed']} of the {summary['asked']} cells of which something is asked pass."
    return "\n".join([text.partition(TABLE)[0] + TABLE, said, "", *table(rows), ""])


if __name__ == "__main__":
    main()
