"""python -m benchmarks.precision [--quick]: what bfloat16 gains on this machine, and whether the rule says
so.

A step in float32 and one in bfloat16 take turns, on one thread, without dropout; shown is the ratio of CPU
seconds (on a GPU, of the clock's), median over repeats, with the lowest and the highest of them: what a
stopwatch of a few steps would have come out as. The rule (trainer/training/precision.py) asks what computes
in bfloat16 and how wide the network is, and nothing else; where it is `not as measured`, it is what has to
change."""

from statistics import median
from typing import Any

import torch

from benchmarks.document import finish, options
from benchmarks.forms import Case, clock, named, our_step, prepared
from trainer.network.hardware import bfloat16_by
from trainer.training.precision import CHOICES, chosen

CASES = (
    Case("bd3lm", "nano", 64, 2_048, 16, 4),
    Case("ar", "nano", 64, 2_048, 16, 1),
    Case("bd3lm", "tiny", 128, 4_096, 16, 16),
    Case("bd3lm", "tiny", 128, 30_522, 16, 16),
    Case("bd3lm", "tiny", 1024, 50_258, 1, 16),
)


def main() -> None:
    parser = options("precision", __doc__, quick="nano alone.")
    parser.add_argument("--repeats", type=int, default=7)
    given = parser.parse_args()
    torch.set_num_threads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    by = bfloat16_by(device)
    print(f"bfloat16 is computed by {by or 'nothing here: it is emulated'}")
    print(f"{'objective size L V batch L-prime':<40}{'float32 over bfloat16':>22}{'from, to':>14}  the rule")
    rows: list[dict[str, Any]] = []
    for case in CASES[:1] if given.quick else CASES:
        row = measured(case._replace(device=device), given.repeats)
        rows.append({**case._asdict(), "by": by, **row})
        said = f"{row['rule']}{'' if row['as_measured'] else ', not as measured'}"
        span = f"{row['low']:.2f}, {row['high']:.2f}"
        print(f"{named(case):<40}{row['ratio']:>21.2f}x{span:>14}  {said}", flush=True)
    gpu = torch.cuda.get_device_name() if device == "cuda" else None
    settings = {"repeats": given.repeats, "threads": 1, "by": by, "gpu": gpu}
    summary = {named(case): row["ratio"] for case, row in zip(CASES, rows, strict=False)}
    finish("precision", settings, rows, summary, write=given.write)


def measured(case: Case, repeats: int) -> dict[str, Any]:
    """In turns; the first two steps of each warm up."""
    forms = {each: prepared(case._replace(dtype=each), with_plain=False) for each in CHOICES}
    seconds: dict[str, list[float]] = {each: [] for each in CHOICES}
    for step in range(1, repeats + 3):
        for each, (learner, _, x0_BL) in forms.items():
            began = clock(case)
            our_step(learner, x0_BL, step)
            seconds[each].append(clock(case) - began)
    ratios = [one / other for one, other in zip(*(each[2:] for each in seconds.values()), strict=True)]
    rule = chosen(forms["float32"][0].config, case.device)
    ratio = median(ratios)
    return {
        "seconds": {each: [round(one, 5) for one in of[2:]] for each, of in seconds.items()},
        "ratio": round(ratio, 3),
        "low": round(min(ratios), 3),
        "high": round(max(ratios), 3),
        "rule": rule,
        "as_measured": (ratio > 1) == (rule == "bfloat16"),
    }


if __name__ == "__main__":
    main()
