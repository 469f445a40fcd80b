"""How long until a command says something: --help, status, check, and the first line of a run.

    python -m benchmarks.start [--quick] [--against CHECKOUT]

Each round starts every command once in a process of its own, this checkout and the other in turn.
Seconds of the processor are the measure: those of the clock are at the mercy of who else is at work. A run is
killed when its first line is there."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.document import finish, options
from tests.sweeper.filled import fill

HERE = Path(__file__).parent.parent
COMMANDS = {
    "--help": ["--help"],
    "status": ["status", "schedules"],
    "check": ["check", "schedules"],
    "first line of run": ["run", "smoke", "--db", "sqlite:///new.db"],
}
# Compiled modules are kept, as an installation has them, whatever is said of them where this is typed.
OF_ALL = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": ""}
WANTED = {"--help": 0.2, "status": 0.6, "check": 0.7, "first line of run": 2.0}  # seconds


class Took(NamedTuple):
    cpu: float  # seconds, of the process and what it had started and waited for
    wall: float


def take(checkout: Path, words: list[str], folder: Path, *, first_line: bool) -> Took:
    environment = {**os.environ, **OF_ALL, "PYTHONPATH": str(checkout)}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")  # and not among the sources
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "sweeper", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    if first_line:
        process.stderr.readline()
        wall = time.perf_counter() - began
        os.killpg(process.pid, signal.SIGKILL)
    _, _, used = os.wait4(process.pid, 0)
    process.stderr.close()
    process.returncode = 0  # it is waited for: Popen need not
    return Took(used.ru_utime + used.ru_stime, wall if first_line else time.perf_counter() - began)


def main() -> None:
    parser = options("start", __doc__, "3 rounds instead of 11.")
    parser.add_argument("--against", type=Path, metavar="CHECKOUT", help="Another one, in turn with this.")
    given = parser.parse_args()
    rounds = 3 if given.quick else 11
    checkouts = {"here": HERE, **({"against": given.against} if given.against else {})}
    took: dict[tuple[str, str], list[Took]] = {}
    with TemporaryDirectory() as place:
        folder = Path(place)
        fill(f"sqlite:///{folder}/sweeps.db", finished=True)
        for number in range(rounds + 1):
            for name, words in COMMANDS.items():
                for which, checkout in checkouts.items():
                    each = take(checkout, words, folder, first_line=name.startswith("first"))
                    if number:  # the first fills the caches
                        took.setdefault((name, which), []).append(each)
    rows: list[dict[str, Any]] = []
    for (name, which), them in took.items():
        cpu, wall = median(each.cpu for each in them), median(each.wall for each in them)
        rows.append({"command": name, "checkout": which, "cpu": round(cpu, 3), "wall": round(wall, 3)})
        print(f"{name:18} {which:8} {cpu:6.2f} CPU-s {wall:6.2f} s   wanted {WANTED[name]} s")
    summary = {row["command"]: row["cpu"] for row in rows if row["checkout"] == "here"}
    finish("start", {"rounds": rounds, "wanted": WANTED}, rows, summary, write=given.write)


if __name__ == "__main__":
    main()
