"""python -m benchmarks.compile [--quick]: does torch.compile of each layer pay within a trial on a CPU?

Two processes compile with one cache folder between them (TORCHINDUCTOR_CACHE_DIR), as workers of a sweep
would: the first finds it empty. Steps with and without take turns; medians of CPU seconds in float32, on one
thread.
`500 steps` is what a trial of so many would take, its compilation included, over the same without.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any

import torch

from benchmarks.document import finish, options
from benchmarks.forms import Case, our_step, prepared

CASES = (Case("bd3lm", "nano", 64, 2_048, 16, 4), Case("bd3lm", "tiny", 128, 4_096, 16, 16))
STEPS = 500
COMPILED_IN = 3  # steps until every shape has been met: whole batches, then any number of masked rows


def main() -> None:
    parser = options("compile", __doc__, quick="nano alone.")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        print(json.dumps(measured(Case(*given.case), given.repeats)))
        return
    print(f"{'':<24}{'step':>8}{'compiled':>10}{'ratio':>8}{'compiling, s':>14}{'500 steps':>11}")
    rows: list[dict[str, Any]] = []
    for case in CASES[:1] if given.quick else CASES:
        with tempfile.TemporaryDirectory() as folder:
            for cache in ("cold", "warm"):
                row = {**case._asdict(), "cache": cache, **in_subprocess(case, given.repeats, folder)}
                rows.append(row)
                print(f"{case.size} {case.length} {case.vocab_size}, {cache:<6}{row['plain']:>10.3f}", end="")
                print(f"{row['compiled']:>10.3f}{row['ratio']:>7.2f}x{row['compiling']:>14.1f}", end="")
                print(f"{row['trial']:>10.2f}x", flush=True)
    summary = {f"{row['size']} {row['cache']}": row["trial"] for row in rows}
    finish(
        "compile", {"repeats": given.repeats, "threads": 1, "steps": STEPS}, rows, summary, write=given.write
    )


def in_subprocess(case: Case, repeats: int, cache: str) -> Any:
    words = [
        "-m",
        "benchmarks.compile",
        "--case",
        json.dumps(case),
        "--repeats",
        str(repeats),
    ]
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache}
    done = subprocess.run(
        [sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def measured(case: Case, repeats: int) -> dict[str, float]:
    torch.set_num_threads(1)
    (plain, _, x0), (compiled, _, _) = (prepared(case, with_plain=False) for _ in range(2))
    compiled.model.compile_layers()
    began = time.perf_counter()
    for step in range(1, COMPILED_IN + 1):
        our_step(compiled, x0, step)
    first = time.perf_counter() - began
    seconds: dict[str, list[float]] = {"plain": [], "compiled": []}
    for step in range(COMPILED_IN + 1, COMPILED_IN + 1 + repeats):
        for name, learner in (("plain", plain), ("compiled", compiled)):
            began = time.process_time()
            our_step(learner, x0, step)
            seconds[name].append(time.process_time() - began)
    middle = {name: median(each) for name, each in seconds.items()}
    compiling = first - COMPILED_IN * middle["compiled"]
    return {
        **{name: round(each, 4) for name, each in middle.items()},
        "ratio": round(middle["plain"] / middle["compiled"], 3),
        "compiling": round(compiling, 1),
        "trial": round((STEPS * middle["compiled"] + compiling) / (STEPS * middle["plain"]), 3),
    }


if __name__ == "__main__":
    main()
