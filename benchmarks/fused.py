"""python -m benchmarks.fused [--quick | --sweep]: do trials of equal shape, trained as one, take less time?

K learners of `nano` step one after the other, and as one (trainer/training/fused.py); the two take turns, on
one thread, in float32, without dropout. Shown are medians of CPU seconds of a step of one trial. On a CPU the
starting of operations is what can be saved; on a GPU, which benchmarks.gpu_check asks, of kernels.

--sweep: 8 such trials (V = 1,000) on two slots, fused and not: CPU seconds of all processes of a sweep, from
the command to the prompt.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.document import finish, options
from benchmarks.forms import Case, clock, our_step, prepared
from benchmarks.metering import metered
from trainer.training.fused import Fused
from trainer.training.learner import Learner, Step

SIZES, BATCHES = (2, 4, 8), (2, 8, 16)
WARM = 2  # steps of each that are not counted
SPEC = """
name: fused
trainer:
  data: {name: synthetic, words: 1000, length: 64, train_sequences: 2048, held_out_sequences: 64}
  model: {size: nano, dropout: 0}
  compute.precision: float32
  finetune: {steps: 300, block_size: 4}
  evaluation: {every: 300, sequences: 32, variance_batches: 0}
space: {finetune.lr: {log_uniform: [1.0e-4, 1.0e-3]}}
search: {sampler: random, trials: 8, seed: 1}
resources: {cpu: 0.5, gpu: 0, slots: 2}
"""


def main() -> None:
    parser = options("fused", __doc__, quick="Two trials, at batch 2.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--sweep", action="store_true", help="A whole sweep.")
    given = parser.parse_args()
    if given.sweep:
        return sweeps(given)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    print(f"{'nano, L = 64, V = 2,048, L-prime 4':<36}{'alone, ms':>10}{'fused, ms':>10}{'ratio':>8}")
    for batch in BATCHES[:1] if given.quick else BATCHES:
        for number in SIZES[:1] if given.quick else SIZES:
            case = Case("bd3lm", "nano", 64, 2_048, batch, 4)
            row = {"batch": batch, "trials": number, **measured(case, number, given.repeats)}
            rows.append(row)
            print(f"batch {batch}, {number} trials{'':<19}", end="")
            print(f"{1e3 * row['alone']:>10.1f}{1e3 * row['fused']:>10.1f}{row['ratio']:>7.2f}x", flush=True)
    summary = {f"batch {row['batch']}, {row['trials']} trials": row["ratio"] for row in rows}
    finish("fused", {"repeats": given.repeats, "threads": 1}, rows, summary, write=given.write)


def sweeps(given: argparse.Namespace) -> None:
    rows: list[dict[str, Any]] = []
    for batch in BATCHES[:2]:
        spent = {fused: in_a_sweep(batch, fused) for fused in (1, 2)}
        rows.append({"batch": batch, **{f"fused {fused}": each for fused, each in spent.items()}})
        print(f"batch {batch}: {spent[1]:.0f} CPU seconds, fused {spent[2]:.0f}", flush=True)
    summary = {f"batch {row['batch']}": round(row["fused 1"] / row["fused 2"], 3) for row in rows}
    finish("fused-sweep", {"trials": 8, "steps": 300, "slots": 2}, rows, summary, write=given.write)


def in_a_sweep(batch: int, fused: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "fused.yaml"
        spec.write_text(SPEC)
        more = [f"trainer.finetune.batch_size={batch}", f"resources.fused={fused}"]
        where = ["--db", f"sqlite:///{folder}/sweeps.db", "--quiet"]
        return metered([sys.executable, "-m", "sweeper", "run", str(spec), *more, *where]).cpu_seconds


def measured(case: Case, number: int, repeats: int) -> dict[str, Any]:
    """Seconds of a step of one trial; and both forms' losses of the first, which are of equal weights."""
    alone, x0_BL = trials(case, number)
    phases = [each.config.finetune for each in alone]
    fused = Fused(trials(case, number)[0], phases)
    inputs = [(x0_BL.cpu(), phase) for phase in phases]
    seconds: dict[str, list[float]] = {"alone": [], "fused": []}
    losses = []
    for step in range(1, WARM + repeats + 1):
        began = clock(case)
        expected = [our_step(learner, x0_BL, step) for learner in alone]
        seconds["alone"].append(clock(case) - began)
        steps = [Step(x0_BL, phase, "finetune", step, step) for x0_BL, phase in inputs]
        began = clock(case)
        found = [each.loss for each in fused.take_steps(steps) if each]
        seconds["fused"].append(clock(case) - began)
        losses.append((expected, found))
    middle = {name: median(each[WARM:]) / number for name, each in seconds.items()}
    return {**middle, "ratio": round(middle["alone"] / middle["fused"], 3), "losses": losses[0]}


def trials(case: Case, number: int) -> tuple[list[Learner], torch.Tensor]:
    """Equal in all but their seeds."""
    made = [prepared(case, with_plain=False, seed=seed) for seed in range(number)]
    return [learner for learner, _, _ in made], made[0][2]


if __name__ == "__main__":
    main()
