"""python -m benchmarks.reading [--quick]: what a command costs that reads a sweep of thousands of trials.

A generated store (benchmarks/large_store.py), SQLite; each command in a process of its own, from its start to
its end, what it imports included; beside it the same command where a sweep has ten trials. CPU-seconds, the
median of the repetitions.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.document import finish, options
from benchmarks.large_store import NAME, fill

STORES = (2_000, 2_000_000), (10_000, 10_000_000)
COMMANDS = {
    "list": ["list"],
    "status": ["status", NAME],
    "leaderboard --limit 10": ["leaderboard", NAME, "--limit", "10"],
    "leaderboard": ["leaderboard", NAME],
    "export": ["export", NAME, "--out", "OUT"],
}


def main() -> None:
    parser = options("reading", __doc__, quick="200 trials with 20,000 rows, once.")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    stores, repeats = (((200, 20_000),), 1) if given.quick else (STORES, given.repeats)
    small = measured(10, 1_000, repeats)
    print(f"{'':<24}{'trials':>8}{'rows':>12}{'CPU s':>8}{'of ten trials':>15}")
    rows = []
    for trials, number in stores:
        for name, seconds in measured(trials, number, repeats).items():
            rows.append({"command": name, "trials": trials, "rows": number, "cpu_seconds": seconds})
            print(f"{name:<24}{trials:>8,}{number:>12,}{seconds:>8.2f}{small[name]:>15.2f}", flush=True)
    finish("reading", {"repeats": repeats, "ten_trials": small}, rows, {}, write=given.write)


def measured(trials: int, rows: int, repeats: int) -> dict[str, float]:
    """CPU-seconds, by command."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/sweeps.db"
        fill(url, trials, rows)
        return {
            name: round(median(cost(words, url, Path(folder)) for _ in range(repeats)), 2)
            for name, words in COMMANDS.items()
        }


def cost(words: list[str], url: str, folder: Path) -> float:
    """Of a command, from its start to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said = [str(folder / "out") if word == "OUT" else word for word in words]
    command = [sys.executable, "-m", "sweeper", *said, "--db", url]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
