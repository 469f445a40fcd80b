"""python -m tests.simulation.reliability: the tables of docs/reliability.md, made of benchmarks/results.

Each stands between two comments that name it; what `make simulate` and benchmarks.blind have found is in
simulation.json and blind.json."""

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.document import DOCS, RESULTS
from tests.simulation.simulate import HOW

PAGE: Path = DOCS / "reliability.md"
UNDER_RAY = RESULTS / "under-ray.json"
SAID = {
    "Kill": "the driver dies, before, in or after a statement, a commit, a file's rename or a step",
    "DatabaseError": "disk I/O error, locked, full, or not to be opened, at a statement or a commit",
    "DiskFull": "no room for a checkpoint or a checksum",
    "FilesUnwritable": "a file cannot be renamed, synced or deleted: disk error, read-only, no permission",
    "ClockJump": "the wall clock jumps up to an hour, either way",
    "Asleep": "the driver is halted for longer than its lease",
    "Theft": "the lease is another's, between any two transactions",
    "TakenOver": "another driver runs the sweep while this one is halted, and this one wakes up",
    "SecondDriver": "the sweep is started while it runs",
    "Control": "stop, pause, resume, extend, settle, of the sweep or a trial, at any time",
    "WorkerLost": "a worker dies in a step or a checkpoint, falls silent, is heard late, lacks memory",
    "Unready": "a worker is never made ready, up to three one after another",
    "Doubled": "a report or an end comes twice, or once its job is another worker's",
    "StageDamaged": "the driver dies, and a finished pretrain is cut, flipped, deleted or an older copy",
    "SpecChanged": "trials, budget, keep or settle are others for the next driver",
    "TrialDamaged": "the driver dies, and a trial's last or best checkpoint is cut, flipped, emptied, "
    "deleted or an older copy, or its folder is gone",
    "StoreOlder": "the store is an older copy of itself, beside newer folders",
}


def main() -> None:
    PAGE.write_text(with_tables(PAGE.read_text()))


def with_tables(text: str) -> str:
    tables = {"simulation": _simulation, "blind": _blind, "under ray": _under_ray}
    for name, lines in ((name, make()) for name, make in tables.items()):
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        table = "\n".join(lines)
        text = between.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)  # type: ignore[misc]
    return text


def _simulation() -> list[str]:
    found = _read("simulation")
    summary, first = found["summary"], found["settings"]["first"]
    by_kind = {row["fault"]: row for row in found["rows"]}
    lines = [
        f"`python -m tests.simulation.simulate --first {first} --seeds {summary['sweeps']} --write`: "
        f"{summary['sweeps']:,} sweeps, {summary['drivers']:,} drivers, {summary['violations']} violations, "
        f"{summary['cpu_seconds_of_a_sweep']} CPU-seconds a sweep.",
        "",
        f"| kind | what happens | times | {' | '.join(HOW)} |",
        f"| --- | --- | --- |{' --- |' * len(HOW)}",
    ]
    for kind, says in SAID.items():
        if (row := by_kind.get(kind)) is None:
            continue  # it was not tried yet
        counts = " | ".join(str(row[how]) for how in HOW)
        lines.append(f"| {kind} | {says} | {row['times']:,} | {counts} |")
    within = ", ".join(f"{name} {times}" for name, times in summary["with"].items())
    return [*lines, "", f"Sweeps with each section, sampler and pruner: {within}."]


def _blind() -> list[str]:
    if not (RESULTS / "blind.json").is_file():
        return ["Not run to its end yet: `python -m benchmarks.blind --write`."]
    found = _read("blind")
    summary = found["summary"]
    lines = [
        f"`python -m benchmarks.blind --write`: {summary['found']} of {summary['of']} mistakes found within "
        f"{found['settings']['seeds']} seeds.",
        "",
        "| mistake | in | found by seed |",
        "| --- | --- | --- |",
    ]
    for row in found["rows"]:
        seed = "-" if row["seed"] is None else row["seed"]
        lines.append(f"| {row['says']} | `{row['file']}` | {seed} |")
    return lines


def _under_ray() -> list[str]:
    if not UNDER_RAY.is_file():
        return ["Not run to its end yet: `python -m tests.simulation.under_ray --write`."]
    found = _read("under-ray")
    settings, rows = found["settings"], found["rows"]
    command = f"tests.simulation.under_ray --first {settings['first']} --sweeps {settings['sweeps']}"
    faults = sum(row["times"] for row in rows)
    return [
        f"`python -m {command} --write`: {settings['sweeps']} sweeps, {faults} faults.",
        "",
        f"| what happens | times | {' | '.join(HOW)} |",
        f"| --- | --- |{' --- |' * len(HOW)}",
        *(
            f"| {row['fault']} | {row['times']} | {' | '.join(str(row[how]) for how in HOW)} |"
            for row in rows
        ),
    ]


def with_earlier(first: int, rows: list[dict[str, Any]]) -> tuple[int, list[dict[str, Any]]]:
    """A hundred faults take more than an hour: they may be tried in parts."""
    kept = json.loads(UNDER_RAY.read_text()) if UNDER_RAY.is_file() else None
    if kept is None or kept["settings"]["first"] + kept["settings"]["sweeps"] != first:
        return first, rows
    earlier = {row["fault"]: row for row in kept["rows"]}
    summed = [
        {
            name: value if name == "fault" else value + earlier[row["fault"]][name]
            for name, value in row.items()
        }
        for row in rows
    ]
    return kept["settings"]["first"], summed


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return document


if __name__ == "__main__":
    main()
