"""python -m benchmarks.overhead [--quick]: what a scheduler adds to 16 trials of two seconds, on two slots.

The same work (benchmarks/busy.py: two seconds of CPU time for a trial, in ten reports) under this sweeper,
under Ray Tune with Optuna's search (its actors new for each trial, and reused), and under Optuna with two
processes. The ideal is the work over two slots. Ray's own start is a column of its own, not part of the first
ratio. `process` is the whole, from the command to the prompt, `first` its part until the first step of a
trial, and the second ratio that of the whole to the first step and the ideal. The four take turns; shown are
medians.
"""

import ast
import math
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.busy import FIRST, REPORTS, SECONDS
from benchmarks.document import finish, options

SLOTS = 2
CONTENDERS = {
    "sweeper": ["benchmarks.plain.ours"],
    "plain optuna": ["benchmarks.plain.plain_optuna"],
    "plain ray": ["benchmarks.plain.plain_ray"],
    "plain ray, reuse": ["benchmarks.plain.plain_ray", "reuse"],
}


class Measured(NamedTuple):
    trials: int
    ray: float  # seconds until ray.init returned
    work: float  # seconds from there on
    process: float  # seconds of the whole process, imports included
    ratio: float  # of work to the ideal
    first: float  # seconds of the process until a trial's first step
    beyond: float  # of process to first and the ideal


def main() -> None:
    parser = options("overhead", __doc__, quick="Four trials, once.")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    trials, repeats = (4, 1) if given.quick else (16, given.repeats)
    trial_seconds = REPORTS * SECONDS
    ideal = trials * trial_seconds / SLOTS
    found: dict[str, list[Measured]] = defaultdict(list)
    for _ in range(repeats):
        for name, words in CONTENDERS.items():
            found[name].append(measure(words, trials, ideal))
            print(f"{name:<18}{found[name][-1]}", file=sys.stderr, flush=True)

    print(
        f"{trials} trials of {trial_seconds:g} s on {SLOTS} slots: {ideal:g} s at best; medians of {repeats}"
    )
    print(f"{'':<18}{'over ideal':>11}{'seconds':>9}{'Ray start':>11}{'process':>9}{'first':>8}{'beyond':>9}")
    rows = []
    for name, runs in found.items():
        middle = Measured(*(median(column) for column in zip(*runs, strict=True)))
        rows.append({"contender": name, **middle._asdict(), "ratios": [one.ratio for one in runs]})
        print(
            f"{name:<18}{middle.ratio:>10.2f}x{middle.work:>9.1f}{middle.ray:>11.1f}{middle.process:>9.1f}"
            f"{middle.first:>8.1f}{middle.beyond:>8.2f}x"
        )
    summary = {row["contender"]: round(row["ratio"], 3) for row in rows}
    finish(
        "overhead", {"trials": trials, "slots": SLOTS, "repeats": repeats}, rows, summary, write=given.write
    )


def measure(words: list[str], trials: int, ideal: float) -> Measured:
    """The last line of a contender's output says what it did. Raises RuntimeError where it failed."""
    module, *options = words
    with TemporaryDirectory() as folder:
        noted, began = Path(folder) / "first", time.time()
        done = subprocess.run(
            [sys.executable, "-m", module, str(trials), *options],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", FIRST: str(noted)},
            check=False,
        )
        process = time.time() - began
        first = float(noted.read_text()) - began if noted.is_file() else math.nan
    if done.returncode:
        raise RuntimeError(f"{module} failed:\n{done.stderr[-2000:]}")
    said = ast.literal_eval(done.stdout.strip().splitlines()[-1])
    if said["trials"] != trials:
        raise RuntimeError(f"{module} completed {said['trials']} of {trials} trials")
    work = said["seconds"] - said["ray"]
    return Measured(trials, said["ray"], work, process, work / ideal, first, process / (first + ideal))


if __name__ == "__main__":
    main()
