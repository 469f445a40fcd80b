"""python -m benchmarks.oracle [--quick]: no trained model's bound falls below the source's own likelihood.

Every objective, schedule and weight is trained on the synthetic source and evaluated as in any run; schedules
also with frequency-informed masking, alone and with a weight. The network (one layer of width 32) and the
source (16 words) are small, and each model is pretrained once, so that all rows take a few CPU-minutes and
begin their steps near the source: a model far above it would hide a leak. The source gives the exact negative
log-likelihood of the same sequences; the difference is paired by document. A row is `below` where even the
upper end of the difference's 95% interval is negative: then something that is scored was seen, or the bound
is none. Exits with 1 where any row is.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from benchmarks.document import finish, options
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.data.corpus import load
from trainer.data.synthetic import Synthetic
from trainer.evaluation.record import Evaluation, ratio_and_se
from trainer.noise.reweighting import REWEIGHTINGS
from trainer.noise.schedules import SCHEDULES
from trainer.objectives.union import OBJECTIVES
from trainer.randomness import strided_rows
from trainer.training.train import pretrain, train
from trainer.values import kind_of

BLOCK_SIZES = (4, 16)  # of objectives that can choose; else the one there is
Z95 = 1.959964


class Row(NamedTuple):
    objective: str
    block_size: int
    schedule: str
    reweighting: str
    masking: str
    val_nelbo: float  # nats per token
    exact: float  # of the same tokens
    difference: float
    interval: float  # half of the 95% interval of the difference
    below: bool
    seconds: float


def main() -> None:
    parser = options("oracle", __doc__, quick="Every objective, with two kinds of noise.")
    parser.add_argument("--steps", type=int, default=50, help="Of training, for each row.")
    parser.add_argument("--pretrain", type=int, default=600, help="Steps before them, once for each model.")
    given = parser.parse_args()
    settings: dict[str, Any] = {
        "data": {
            **{"name": "synthetic", "length": 64, "words": 16, "branching": 4, "entropy": 1.0},
            **{"train_sequences": 2048, "held_out_sequences": 256},
        },
        "model": {"width": 32, "layers": 1, "heads": 2, "cond_width": 16},
        "pretrain": {"steps": given.pretrain, "lr": 1e-2},
        "finetune": {"steps": given.steps, "lr": 3e-3, "batch_size": 8},
        "evaluation": {"every": given.steps, "sequences": 64, "variance_batches": 0, "test": False},
        "log_every": given.steps,
    }
    rows = []
    print(
        f"{'model':<10}{'schedule':<18}{'weight':<9}{'masking':<11}{'val_nelbo':>9}{'exact':>8}{'difference':>19}"
    )
    with TemporaryDirectory() as stages:
        for config in configs(settings, quick=given.quick):
            row = measure(config, Path(stages))
            rows.append(row)
            print(described(row), flush=True)
    summary = {
        "rows": len(rows),
        "below": sum(row.below for row in rows),
        "smallest_difference": min(row.difference for row in rows),
        "largest_difference": max(row.difference for row in rows),
        "entropy_rate": Synthetic(**settings["data"]).entropy_rate,
        "seconds": round(sum(row.seconds for row in rows), 1),
    }
    print(f"{summary['rows']} runs of {given.steps} steps, {summary['below']} below the source's likelihood")
    finish("oracle", settings, [row._asdict() for row in rows], summary, write=given.write)
    sys.exit(1 if summary["below"] else 0)


def described(row: Row) -> str:
    model = f"{row.objective} {row.block_size}"
    return (
        f"{model:<10}{row.schedule:<18}{row.reweighting:<9}{row.masking:<11}{row.val_nelbo:>9.4f}"
        f"{row.exact:>8.4f}{row.difference:>+10.4f} ± {row.interval:.4f}{'  BELOW' if row.below else ''}"
    )


def configs(settings: dict[str, Any], *, quick: bool) -> Iterator[TrainConfig]:
    """Every objective at its block sizes, with every schedule, weight and masking that it takes."""
    for objective in map(kind_of, OBJECTIVES):
        plain = {**settings, "objective.name": objective}
        sizes = [{"finetune.block_size": size, "pretrain.block_size": size} for size in BLOCK_SIZES]
        chosen = [size for size in sizes if config_or_none({**plain, **size})] or [{}]
        for size, noise in product(chosen, noises(quick)):
            config = config_or_none({**plain, **size, **noise})
            if config:
                yield config


def noises(quick: bool) -> list[dict[str, str]]:
    """All schedules with all weights; then with frequency-informed masking, and that with a weight too."""
    if quick:
        choices = [("loglinear", "none", "uniform"), ("gaussian", "sigmoid", "frequency")]
    else:
        names = [[kind_of(each) for each in union] for union in (SCHEDULES, REWEIGHTINGS)]
        choices = [*product(*names, ["uniform"]), *product(names[0], ["none"], ["frequency"])]
        choices += product(["gaussian", "bimodal_gaussian"], ["sigmoid"], ["frequency"])
    keys = ("finetune.schedule.name", "finetune.reweighting.name", "finetune.masking.name")
    return [dict(zip(keys, each, strict=True)) for each in choices]


def config_or_none(values: dict[str, Any]) -> TrainConfig | None:
    """None where the objective does not take these: AR has no noise to schedule."""
    try:
        return TrainConfig.from_dotted(values)
    except InvalidConfig:
        return None


def measure(config: TrainConfig, stages: Path | None = None) -> Row:
    """stages: where the pretrains lie that runs share."""
    began = time.monotonic()
    stage = pretrained(config, stages) if stages and config.pretrain.steps else None
    with TemporaryDirectory() as folder:
        running = train(config, Path(folder), pretrained=stage, device="cpu")
        reports = [report for report in running if report is not None]
    evaluation = reports[-1].evaluations[0]
    exact_D = exact(config, evaluation)
    difference, se = ratio_and_se(
        [bound - nats for bound, nats in zip(evaluation.nats_D, exact_D, strict=True)], evaluation.tokens_D
    )
    return Row(
        objective=config.objective.name,
        block_size=config.finetune.block_size,
        schedule=config.finetune.schedule.name,
        reweighting=config.finetune.reweighting.name,
        masking=config.finetune.masking.name,
        val_nelbo=evaluation.nelbo,
        exact=sum(exact_D) / sum(evaluation.tokens_D),
        difference=difference,
        interval=Z95 * se,
        below=difference + Z95 * se < 0,
        seconds=time.monotonic() - began,
    )


def pretrained(config: TrainConfig, stages: Path) -> Path:
    """The pretrain that the run branches from; it is trained where nobody has asked for it before."""
    folder = stages / config.stage_key()
    if not folder.exists():
        for _ in pretrain(config, folder, device="cpu"):
            pass
    return folder


def exact(config: TrainConfig, evaluation: Evaluation) -> list[float]:
    """The source's nats of each document's tokens, in the order of the evaluation's."""
    assert isinstance(config.data, Synthetic)
    packed = load(config.data).valid
    rows_S = strided_rows(config.evaluation.seed, config.evaluation.sequences, len(packed.tokens_SL))
    nats_SL = config.data.exact_nats_SL(packed.tokens_SL[rows_S])[:, 1:]
    documents, document_SL = np.unique(packed.documents_SL[rows_S][:, 1:], return_inverse=True)
    assert np.bincount(document_SL.ravel()).tolist() == evaluation.tokens_D
    return np.bincount(document_SL.ravel(), nats_SL.ravel(), len(documents)).tolist()


if __name__ == "__main__":
    main()
