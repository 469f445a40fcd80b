"""python -m benchmarks.cell [--quick]: what a trial costs beside its own steps, in a process that is warm.

Cells of Table 10 (benchmarks/table10.yaml), one by one in this process, with `evaluation.rank_error` as a
sweep has it: a network is made, branched from a pretrain, trained, looked at, evaluated, saved. CPU-seconds
of all of it, and of the steps alone; the first cell warms up and does not count. The steps' number does not
matter: what is beside them is their difference.
"""

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
import yaml

from benchmarks.document import finish, options
from trainer.config.train_config import TrainConfig
from trainer.training.run import Run
from trainer.training.train import pretrain, train

SPEC = Path(__file__).with_name("table10.yaml")
RANK_ERROR = 0.005  # of new sweeps
STEPS = 100


class Clock:
    """CPU-seconds of steps, taken around each."""

    def __init__(self) -> None:
        self.steps = 0.0
        self._take_step = Run.take_step

    def __enter__(self) -> "Clock":
        def timed(run: Run) -> None:
            began = time.process_time()
            self._take_step(run)
            self.steps += time.process_time() - began

        Run.take_step = timed  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        Run.take_step = self._take_step  # type: ignore[method-assign]


def main() -> None:
    parser = options("cell", __doc__, quick="Of each block size one, four steps.")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    steps, repeats = (4, 1) if given.quick else (STEPS, given.repeats)
    cells = [each for each in yaml.safe_load(SPEC.read_text())["always"] if _is_plain(each)]
    if given.quick:
        cells = cells[::2]
    with tempfile.TemporaryDirectory() as folder:
        before, taken = Path(folder) / "pretrain", []
        for _ in pretrain(_config(cells[0], steps), before):
            pass
        for number in range(repeats + 1):  # in turn: another process's work falls on all alike
            for i, cell in enumerate(cells[: 1 if number == 0 else None]):
                found = one(cell, steps, before, Path(folder) / f"{number} {i}")
                taken += [(i, found)] * (number > 0)
    rows = []
    print(f"{'L-prime':>7}  {'schedule':<11}{'steps':>8}{'beside them':>13}")
    for i, cell in enumerate(cells):
        row = {
            "block_size": cell["finetune.block_size"],
            "schedule": cell["finetune.schedule.name"],
            "steps_s": round(median(each[0] for j, each in taken if j == i), 3),
            "beside_s": round(median(each[1] for j, each in taken if j == i), 3),
        }
        rows.append(row)
        print(f"{row['block_size']:>7}  {row['schedule']:<11}{row['steps_s']:>8.2f}{row['beside_s']:>13.2f}")
    summary = {"most_beside_s": max(row["beside_s"] for row in rows)}
    finish("cell", {"steps": steps, "repeats": repeats}, rows, summary, write=given.write)


def _is_plain(cell: dict[str, Any]) -> bool:
    """Two of each block size: log-linear, whose time needs no solving, and cosine."""
    return cell["finetune.schedule.name"] in ("loglinear", "cosine") and "finetune.clip.low" not in cell


def _config(cell: dict[str, Any], steps: int) -> TrainConfig:
    base: dict[str, Any] = yaml.safe_load(SPEC.read_text())["trainer"]
    flat = {
        "data": base["data"],
        "model.size": base["model.size"],
        "pretrain.steps": 4,
        "pretrain.block_size": base["pretrain"]["block_size"],
        "finetune.steps": steps,
        "evaluation.every": steps,
        "evaluation.sequences": base["evaluation"]["sequences"],
        "evaluation.test": base["evaluation"]["test"],
        "evaluation.rank_error": RANK_ERROR,
        **cell,
    }
    return TrainConfig.from_dotted(flat)


def one(cell: dict[str, Any], steps: int, before: Path, folder: Path) -> tuple[float, float]:
    """CPU-seconds of the steps, and of all else."""
    began = time.process_time()
    with Clock() as clock:
        for _ in train(_config(cell, steps), folder, pretrained=before, device="cpu"):
            pass
    return clock.steps, time.process_time() - began - clock.steps


if __name__ == "__main__":
    main()
