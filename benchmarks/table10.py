"""python -m benchmarks.table10 [--quick]: the 24 cells of the report's Table 10, shared against naive.

Each cell is 400 steps of pretraining and 100 of fine-tuning. Naive is what one would write with Ray Tune:
every trial goes through its own pretrain. Shared is this sweeper: one stage, 24 branches. The same trainer,
model (nano), text, evaluation and two slots; every cell ends with the same val_nelbo, to the bit. Steps are
counted from the trainers' ledgers; CPU seconds are those of every process, Ray's and imports included.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.document import finish, options
from benchmarks.metering import metered
from benchmarks.plain.grid import run_cells
from benchmarks.swept import swept

SPEC = Path(__file__).with_name("table10.yaml")
QUICK = ["trainer.pretrain.steps=40", "trainer.finetune.steps=10"]
SIDES = ("shared", "naive")


def main() -> None:
    parser = options("table10", __doc__, quick="A tenth of the steps.")
    parser.add_argument("--repeats", type=int, default=1, help="Of both sides, in turn.")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    overrides = QUICK if given.quick else []
    if given.side:
        {"shared": shared, "naive": naive}[given.side](given.folder, overrides)
        return

    rows, results = [], []
    for _ in range(given.repeats):
        for side in SIDES:
            with tempfile.TemporaryDirectory(prefix="table10-", dir="/tmp") as folder:
                command = [sys.executable, "-m", "benchmarks.table10", "--side", side, "--folder", folder]
                run = metered([*command, *(["--quick"] if given.quick else [])])
                ledgers = list(Path(folder).rglob("ledger.txt"))
                steps = sum(len(ledger.read_text().splitlines()) for ledger in ledgers)
                results.append(json.loads((Path(folder) / "results.json").read_text()))
            rows.append(
                {
                    "side": side,
                    "steps": steps,
                    "cpu_seconds": round(run.cpu_seconds, 1),
                    "seconds": round(run.seconds, 1),
                }
            )
            print(
                f"{side:<8}{steps:>7,} steps{run.cpu_seconds:>10.1f} CPU s{run.seconds:>8.1f} s", flush=True
            )
    if any(each != results[0] for each in results):
        sys.exit("the two sides' cells are not equal: shared pretraining is not exact here")
    ratios = {
        f"{what}_ratio": round(_median(rows, "naive", what) / _median(rows, "shared", what), 2)
        for what in ("steps", "cpu_seconds", "seconds")
    }
    print(f"{len(results[0])} cells, equal to the bit; naive over shared: {ratios}")
    finish("table10", {"overrides": overrides, "repeats": given.repeats}, rows, ratios, write=given.write)


def shared(folder: Path, overrides: list[str]) -> None:
    from sweeper.spec.load import load_spec

    with swept(load_spec(SPEC, overrides), folder) as reader:
        best = {row.trial: row.best for row in reader.latest(1) if row.name == "val_nelbo"}
        params = {trial.id: trial.params for trial in reader.trials(1)}
    _write(folder, {trial: (params[trial], value) for trial, value in best.items()})


def naive(folder: Path, overrides: list[str]) -> None:
    from ray import tune

    from sweeper.spec.load import load_spec

    spec = load_spec(SPEC, overrides)

    def cell(config: dict[str, Any]) -> None:
        from trainer.config.train_config import TrainConfig
        from trainer.training.train import train

        best = math.inf
        run = TrainConfig.from_dotted(config["values"])
        for report in train(run, folder / "runs" / str(config["number"]), device="cpu"):
            if report is not None:
                best = min(best, report.values.get("val_nelbo", math.inf))
        tune.report({"val_nelbo": best})

    cells = [
        {"number": i, "values": spec.train_config(point, 0).to_dotted()}
        for i, point in enumerate(spec.always)
    ]
    found = {done["number"]: last["val_nelbo"] for done, last in run_cells(cell, cells, folder)}
    _write(folder, {number: (dict(spec.always[number]), value) for number, value in found.items()})


def _write(folder: Path, cells: dict[int, tuple[dict[str, Any], float]]) -> None:
    """By content, so that the order in which cells were run does not matter."""
    by_content = {json.dumps(params, sort_keys=True): value for params, value in cells.values()}
    (folder / "results.json").write_text(json.dumps(by_content, sort_keys=True))


def _median(rows: list[dict[str, Any]], side: str, what: str) -> float:
    return median(_of(rows, side, what))


def _of(rows: list[dict[str, Any]], side: str, what: str) -> Iterator[float]:
    return (row[what] for row in rows if row["side"] == side)


if __name__ == "__main__":
    main()
