"""python -m benchmarks.fused [--quick]: do trials of equal shape, trained as one, take less time than alone?

K learners of `nano` step one after the other, and as one (trainer/training/fused.py); the two take turns, on
one thread, in float32, without dropout. Shown are medians of CPU seconds of a step of one trial. On a CPU the
starting of operations is what can be saved; on a GPU, which benchmarks.gpu_check asks, of kernels.
"""

from statistics import median
from typing import Any

import torch

from benchmarks.document import finish, options
from benchmarks.forms import Case, clock, our_step, prepared
from trainer.training.fused import Fused
from trainer.training.learner import Learner, Step

SIZES, BATCHES = (2, 4, 8), (2, 8, 16)
WARM = 2  # steps of each that are not counted


def main() -> None:
    parser = options("fused", __doc__, quick="Two trials, at batch 2.")
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
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
