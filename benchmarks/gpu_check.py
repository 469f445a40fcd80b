"""python -m benchmarks.gpu_check [--pretend]: does all that is for a GPU run on this one, equal and fast?

At most 8 minutes on an H100 or H200, with a bare python3 and torch, without a network. In this order: what is
there and which parts that skips; the card's own rates; the tests marked `gpu`; a step against the
straightforward form and against the floors; several trials on the card, by processes, under MPS and fused; a
whole run of `tiny` on `pydocs`, its memory against what `plan` would forecast.

Each part is a process of its own with a limit of time, so that one that fails, or hangs, hides no other.
What is found is printed and written as it comes, to --out: rows.jsonl, log.txt, and at the end check.json.
--wheels FOLDER: of packages that this machine lacks, installed from there for the check alone. pydantic has
a stand-in (benchmarks/bare). --pretend: all of it on the CPU at toy size; its figures mean nothing.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from signal import SIGKILL
from subprocess import PIPE
from threading import Event, Timer
from typing import IO, Any, NamedTuple

from benchmarks.document import options
from benchmarks.gpu import there
from benchmarks.gpu.parts import Part, parts_of, scale_of
from benchmarks.gpu.scale import Row

ROOT = Path(__file__).parents[1]
BARE = Path(__file__).parent / "bare"
MINUTES = 8.0
PRETENDED = 5  # times as long may all of it take where it is pretended: on a CPU that others use
LEAST = 8.0  # seconds, with fewer left no part is begun
MARKS = {True: "ok", False: "FAILED", None: ""}


class Given(NamedTuple):
    pretend: bool
    text: str | None

    @property
    def words(self) -> list[str]:
        pretend = ["--pretend"] if self.pretend else []
        return [*pretend, *(["--text", self.text] if self.text else [])]

    @property
    def patience(self) -> int:
        return PRETENDED if self.pretend else 1


def main() -> None:
    parser = options("gpu_check", __doc__)
    parser.add_argument("--pretend", action="store_true", help="On the CPU, at toy size.")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="Packages that this machine lacks.")
    parser.add_argument("--out", type=Path, default=ROOT / ".cache" / "gpu-check", metavar="FOLDER")
    parser.add_argument("--text", metavar="FILE", help="Of the whole run, instead of pydocs.")
    parser.add_argument(
        "--only", metavar="PART", action="append", help="By the beginning of its name; may be repeated."
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help="For all of it.")
    given = parser.parse_args()
    how = Given(given.pretend, str(Path(given.text).resolve()) if given.text else None)
    ends = time.monotonic() + 60 * given.minutes * how.patience
    given.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="gpu-check-") as folder,
        (given.out / "log.txt").open("w") as log,
        (given.out / "rows.jsonl").open("w") as lines,
    ):
        environment = environment_of(Path(folder), given.wheels, how.pretend)
        rows = []
        for row in found(how, given.only, environment, ends, log):
            rows.append(row)
            lines.write(json.dumps(row) + "\n")
            lines.flush()
            print(line_of(row), flush=True)
    finish(given.out, rows, how, write=given.write)


def environment_of(folder: Path, wheels: Path | None, pretend: bool) -> dict[str, str]:
    """Of every part: where packages are, and caches that all share and that go away. Raises
    CalledProcessError
    where the wheels cannot be installed."""
    places = [str(ROOT)]
    if wheels is not None:
        files = sorted(map(str, wheels.glob("*.whl")))
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
        subprocess.run([*pip, "--target", str(folder / "site"), *files], check=True)
        places.append(str(folder / "site"))
    sys.path[:0] = places
    if there.missing(["pydantic"]):
        places.append(str(BARE))
        sys.path.insert(1, str(BARE))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("TRAINER_")}
    hidden = {"CUDA_VISIBLE_DEVICES": ""} if pretend else {}
    return {
        **kept,
        **hidden,
        "PYTHONPATH": os.pathsep.join([*places, os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
        "TRAINER_CACHE": str(folder / "trainer"),
    }


def found(
    given: Given, only: list[str] | None, environment: dict[str, str], ends: float, log: IO[str]
) -> Iterator[dict[str, Any]]:
    scale = scale_of(given.pretend, given.text)
    parts = parts_of(scale)
    lacking = {part.name: there.missing(part.needs) for part in parts}
    names = {each for missing in lacking.values() for each in missing}
    skipped = {each: [name for name, missing in lacking.items() if each in missing] for each in names}
    for row in there.rows(skipped):
        # A pretended check is no finding about the card.
        yield of("there", row._replace(ok=None) if given.pretend else row)
    for part in parts:
        if lacking[part.name] or (only and not part.name.startswith(tuple(only))):
            continue
        yield from rows_of(part, given, environment, ends - time.monotonic(), log)


def rows_of(
    part: Part, given: Given, environment: dict[str, str], left: float, log: IO[str]
) -> Iterator[dict[str, Any]]:
    """Of a process of its own, as it says them."""
    if left < LEAST:
        yield of(part.name, Row(part.name, False, "no time was left for it"))
        return
    command = [sys.executable, "-m", "benchmarks.gpu.parts", part.name, *given.words]
    began = time.monotonic()
    yield from said_by(command, part.name, min(part.limit * given.patience, left), environment, log)
    yield of(part.name, Row("time", None, f"{time.monotonic() - began:.1f} s of {part.limit:.0f}"))


def said_by(
    command: list[str], part: str, limit: float, environment: dict[str, str], log: IO[str]
) -> Iterator[dict[str, Any]]:
    """The rows that a command prints; what it prints besides goes into the log. It ends with all that it has
    started, at the latest after so many seconds; an end that is not a good one is a row."""
    log.write(f"\n=== {part}\n")
    log.flush()
    late = Event()
    process = subprocess.Popen(
        command, stdout=PIPE, stderr=log, text=True, cwd=ROOT, env=environment, start_new_session=True
    )
    timer = Timer(limit, lambda: (late.set(), _kill(process.pid)))
    timer.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            row = _row_in(line)
            if row is None:
                log.write(line)
            else:
                yield row
        code = process.wait()
    finally:
        timer.cancel()
        _kill(process.pid)
    if late.is_set():
        yield of(part, Row(part, False, f"not done within {limit:.0f} s"))
    elif code:
        yield of(part, Row(part, False, f"ended with code {code}: see log.txt"))


def of(part: str, row: Row) -> dict[str, Any]:
    return {"part": part, **row._asdict()}


def _row_in(line: str) -> dict[str, Any] | None:
    with suppress(ValueError):
        row = json.loads(line)
        if isinstance(row, dict) and row.keys() >= {"part", *Row._fields}:
            return row
    return None


def _kill(session: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(session, SIGKILL)


def line_of(row: dict[str, Any]) -> str:
    asked = f" (asked: {row['asked']})" if row["asked"] else ""
    return f"{MARKS[row['ok']]:<7}{row['part']:<20}{row['what']:<34}{row['found']}{asked}"


def finish(out: Path, rows: list[dict[str, Any]], given: Given, *, write: bool) -> None:
    """The table once more, the JSON, and what failed. Exit code 1 where anything did."""
    failed = [row for row in rows if row["ok"] is False]
    print(f"\n| part | what | found | asked | |\n{'| --- ' * 5}|")
    for row in rows:
        print(f"| {row['part']} | {row['what']} | {row['found']} | {row['asked']} | {MARKS[row['ok']]} |")
    document = {
        "name": "gpu_check",
        "settings": given._asdict(),
        "rows": rows,
        "summary": {"looked at": len(rows), "failed": [f"{row['part']}: {row['what']}" for row in failed]},
    }
    text = json.dumps(document, indent=1) + "\n"
    (out / "check.json").write_text(text)
    if write:
        (ROOT / "benchmarks" / "results" / "gpu_check.json").write_text(text)
    print(f"\n{len(rows)} rows in {out / 'check.json'}; {len(failed) or 'none'} failed")
    for row in failed:
        print(f"- {row['part']}: {row['what']}: {row['found']}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
