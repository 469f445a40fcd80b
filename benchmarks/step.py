"""python -m benchmarks.step [--quick]: a training step against the straightforward one, equal in loss.

Both forms (benchmarks/forms.py) run in one process and take turns, on one thread, without dropout; shown are
medians of CPU seconds. On a CPU the straightforward form is in float32 whatever ours is in; on a GPU it is in
the same precision, by autocast, and seconds are the clock's. `peak` is the memory of a process (or of the
GPU) that takes two steps of one form. `of GEMM` is the share of the rate of a bare matrix product of the same
precision (measured between the steps) at which the operations that the loss needs are done. `without`
switches one lever off at a time.

Cases in bfloat16 are run where the processor has it, those of a GPU where there is one. Below the latter
stand the floors of an H200 (benchmarks/floors.py): what the operations and the bytes that a step needs take
at the card's rates; beside them what was measured, and how many kernels each form starts by how many calls
of the host. --floors prints the floors alone, on any machine.

Best run with OMP_NUM_THREADS=1 and glibc told to keep its memory (docs/performance.md).
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from statistics import median
from typing import Any

import torch

from benchmarks.document import finish, options
from benchmarks.floors import H200, Work, launches, rows_of, work
from benchmarks.forms import Case, clock, named, noise, our_step, plain_step, prepared
from benchmarks.levers import LEVERS
from tests.reference.step import Step
from trainer.network.attention import Layout, block_causal, noised
from trainer.network.hardware import Memory, has_bfloat16
from trainer.training.learner import Learner

CASES = (
    Case("bd3lm", "tiny", 128, 30_522, 16, 16),
    Case("bd3lm", "tiny", 128, 4_096, 16, 16, levers=True),
    Case("bd3lm", "tiny", 1024, 50_258, 1, 16, levers=True),
    Case("ar", "tiny", 1024, 50_258, 1, 1),
    Case("bd3lm", "nano", 64, 2_048, 16, 4),
)
BFLOAT16 = tuple(case._replace(dtype="bfloat16", levers=False) for case in (*CASES[:3], CASES[4]))
ON_GPU = tuple(
    Case("bd3lm", "tiny", length, 30_522, batch, 16, dtype="bfloat16", device="cuda")
    for length, batch in ((128, 8), (128, 32), (128, 512), (1024, 8), (1024, 64))
)
QUICK = (Case("bd3lm", "nano", 64, 2_048, 16, 4, levers=True), Case("ar", "nano", 64, 2_048, 16, 1))


def main() -> None:
    parser = options("step", __doc__, quick="nano alone.")
    parser.add_argument("--floors", action="store_true", help="Of the GPU's cases; nothing is measured.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--case", type=json.loads, help=argparse.SUPPRESS)
    parser.add_argument("--form", choices=["both", "ours", "plain"], help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.case:
        case = Case(*given.case)
        print(json.dumps(both(case, given.repeats) if given.form == "both" else peak(case, given.form)))
        return
    if given.floors:
        finish("floors", {"card": H200.name}, floors_of(ON_GPU), {}, write=False)
        return
    print(f"{'':<40}{'tokens/CPU s':>20}{'':>8}{'of GEMM':>14}{'peak MB':>14}")
    print(f"{'objective size L V batch L-prime':<40}{'plain':>10}{'ours':>10}{'ratio':>8}", end="")
    print(f"{'plain':>7}{'ours':>7}{'plain':>7}{'ours':>7}")
    rows: list[dict[str, Any]] = []
    for case in QUICK if given.quick else cases_here():
        row = {**case._asdict(), **in_subprocess(case, "both", given.repeats)}
        row["peak_mb"] = {form: in_subprocess(case, form, 1) for form in ("plain", "ours")}
        rows.append(row)
        rate, share, memory = row["tokens_per_cpu_second"], row["of_gemm"], row["peak_mb"]
        print(f"{named(case):<40}{rate['plain']:>10,.0f}{rate['ours']:>10,.0f}{row['ratio']:>7.2f}x", end="")
        print(f"{share['plain']:>7.0%}{share['ours']:>7.0%}{memory['plain']:>7,}{memory['ours']:>7,}")
        for lever, factor in row["without"].items():
            print(f"    {'without ' + lever:<54}{factor:>7.2f}x the time", flush=True)
        if case.device == "cuda":
            print(beside_floors(row), flush=True)
    summary = {
        f"{row['objective']} {row['size']} L={row['length']} V={row['vocab_size']} batch {row['batch']}"
        f" {row['dtype']} {row['device']}": row["ratio"]
        for row in rows
    }
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    settings = {"repeats": given.repeats, "threads": 1, "dropout": 0, "gpu": gpu}
    finish("step", settings, rows, summary, write=given.write)


def floors_of(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Printed, too."""
    rows = []
    print(f"{'':<40}{'TFLOP':>8}{'ms':>8}{'GB':>8}{'ms':>8}   of them weights, activations, optimizer")
    for case in cases:
        learner, _, x0_BL = prepared(case._replace(device="cpu"), with_plain=False)
        needed = needed_work(case, learner, x0_BL)
        floor = needed.milliseconds(H200)
        print(f"{named(case):<40}{needed.flops / 1e12:>8.2f}{floor['operations']:>8.2f}", end="")
        print(f"{needed.bytes / 1e9:>8.2f}{floor['bytes']:>8.2f}", end="   ")
        print(", ".join(f"{each / 1e9:.2f}" for each in needed[1:]), flush=True)
        rows.append({**case._asdict(), **needed._asdict(), "floors_ms": floor})
    return rows


def beside_floors(row: dict[str, Any]) -> str:
    """The line below a GPU's row."""
    floor = ", ".join(f"{what} {ms:.2f} ms" for what, ms in row["floors_ms"].items())
    forms = "; ".join(
        f"{form} {1e3 * median(row['cpu_seconds'][form]):.2f} ms, {count['kernels']:,} kernels"
        f" by {count['calls']:,} calls"
        for form, count in row["launches"].items()
    )
    return f"    floors of an {H200.name}: {floor}; {forms}"


def cases_here() -> tuple[Case, ...]:
    """Those that this machine can run at speed."""
    bfloat16 = BFLOAT16 if has_bfloat16("cpu") else ()
    return (*CASES, *bfloat16, *(ON_GPU if torch.cuda.is_available() else ()))


def in_subprocess(case: Case, form: str, repeats: int) -> Any:
    words = ["--case", json.dumps(case), "--form", form, "--repeats", str(repeats)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.step", *words], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def both(case: Case, repeats: int) -> dict[str, Any]:
    """The two forms beside each other; of a GPU also what it had to start."""
    forms = prepared(case)
    return timed(case, repeats, *forms) | ({} if case.device == "cpu" else on_gpu(case, repeats + 2, *forms))


def timed(case: Case, repeats: int, learner: Learner, plain: Step, x0: torch.Tensor) -> dict[str, Any]:
    """Every form takes its turn at every step; the first one warms up."""
    levers = LEVERS if case.levers else {}
    ours = ("ours", *levers)
    seconds: dict[str, list[float]] = {name: [] for name in ("plain", *ours, "gemm")}
    losses: list[tuple[float, float]] = []
    for step in range(1, repeats + 2):
        began = clock(case)
        expected = plain_step(plain, learner, x0, step)
        seconds["plain"].append(clock(case) - began)
        found = []
        for name in ours:
            with levers.get(name, nullcontext)(learner):
                began = clock(case)
                found.append(our_step(learner, x0, step))
                seconds[name].append(clock(case) - began)
        # After the first step of each, weights part company: only there is the loss one of equal weights.
        losses.append((expected, found[0]))
        seconds["gemm"].append(gemm_seconds(case, learner.model.shape.width))
    (expected, got), *_ = losses
    near = 1e-5 if case.dtype == "float32" else 2e-2
    assert abs(got - expected) <= near * abs(expected), (got, expected)
    middle = {name: median(each[1:]) for name, each in seconds.items()}
    gemm_rate = 2 * case.batch * 2 * case.length * 4 * learner.model.shape.width**2 / middle["gemm"]
    needed = needed_work(case, learner, x0)
    return {
        "cpu_seconds": {name: [round(each, 4) for each in seconds[name][1:]] for name in ("plain", "ours")},
        "tokens_per_cpu_second": {
            name: round(case.batch * case.length / middle[name], 1) for name in ("plain", "ours")
        },
        "ratio": round(middle["plain"] / middle["ours"], 2),
        "gemm_gflops": round(gemm_rate / 1e9, 1),
        "needed_gflop": round(needed.flops / 1e9, 2),
        "needed_gb": round(needed.bytes / 1e9, 3),
        "of_gemm": {name: round(needed.flops / middle[name] / gemm_rate, 3) for name in ("plain", "ours")},
        "without": {name: round(middle[name] / middle["ours"], 3) for name in levers},
    }


def on_gpu(case: Case, step: int, learner: Learner, plain: Step, x0_BL: torch.Tensor) -> dict[str, Any]:
    """What is said of a GPU alone; each form takes this step once more."""
    forms = {
        "plain": launches(lambda: plain_step(plain, learner, x0_BL, step), case.device),
        "ours": launches(lambda: our_step(learner, x0_BL, step), case.device),
    }
    return {
        "floors_ms": needed_work(case, learner, x0_BL).milliseconds(H200),
        "launches": {form: found._asdict() for form, found in forms.items()},
    }


def peak(case: Case, form: str) -> int:
    """Of this process, in MB, after two steps of one form."""
    memory = Memory(torch.device(case.device))
    learner, plain, x0 = prepared(case, with_plain=form == "plain")
    for step in (1, 2):
        if form == "plain":
            plain_step(plain, learner, x0, step)
        else:
            our_step(learner, x0, step)
    return round(memory.peak_mb() * 1e6 / 2**20)


def gemm_seconds(case: Case, width: int) -> float:
    """Of the MLP's first product over the tokens of a step as written, its best of three."""
    shapes = ((case.batch * 2 * case.length, width), (width, 4 * width))
    x, w = (torch.randn(shape, device=case.device, dtype=getattr(torch, case.dtype)) for shape in shapes)
    found = []
    for _ in range(3):
        began = clock(case)
        x @ w
        found.append(clock(case) - began)
    return min(found)


def needed_work(case: Case, learner: Learner, x0_BL: torch.Tensor) -> Work:
    """Of the first step: its masks say how many tokens have a loss."""
    layout: Layout = (
        block_causal(case.length - 1, 1) if case.objective == "ar" else noised(case.length, case.block_size)
    )
    ar = case.objective == "ar"
    scored = case.batch * layout.num_read if ar else int(noise(learner, x0_BL, 1)[1].sum())
    parameters = sum(each.numel() for each in learner.model.parameters())
    element = getattr(torch, case.dtype).itemsize
    return work(learner.model.shape, rows_of(layout, case.batch, scored), parameters, element)


if __name__ == "__main__":
    main()
