"""python -m benchmarks.oracle [--quick]: no trained model's bound falls below the source's own likelihood.

Every objective, schedule and weight is trained on the synthetic source and evaluated as in any run. The
source gives the exact negative log-likelihood of the same sequences; the difference is paired by document.
A row is `below` where even the upper end of the difference's 95% interval is negative: then something
that is scored was seen, or the bound is none. Exits with 1 where any row is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, get_args

import numpy as np
import torch

from trainer.config import InvalidConfig, TrainConfig
from trainer.data.packing import load
from trainer.data.synthetic import Synthetic
from trainer.evaluation.record import Evaluation, ratio_and_se
from trainer.objectives.union import AnyObjective
from trainer.randomness import strided_rows
from trainer.reweighting import REWEIGHTINGS
from trainer.schedules import SCHEDULES
from trainer.train import train

OBJECTIVES: tuple[type[Any], ...] = get_args(get_args(AnyObjective)[0])
BLOCK_SIZES = (4, 16)  # of objectives that can choose; else the one there is
Z95 = 1.959964


class Row(NamedTuple):
    objective: str
    block_size: int
    schedule: str
    reweighting: str
    val_nelbo: float  # nats per token
    exact: float  # of the same tokens
    difference: float
    interval: float  # half of the 95% interval of the difference
    below: bool
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.oracle", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="Every objective, with one schedule and two weights."
    )
    parser.add_argument("--steps", type=int, default=50, help="Of training, for each row.")
    given = parser.parse_args()
    settings: dict[str, Any] = {
        "data": {"name": "synthetic", "length": 64, "train_sequences": 2048, "held_out_sequences": 256},
        "pretrain.steps": 0,
        "finetune": {"steps": given.steps, "lr": 3e-3},
        "evaluation": {"every": given.steps, "sequences": 128, "variance_batches": 0, "test": False},
        "log_every": given.steps,
    }
    rows = []
    print(f"{'model':<16}{'schedule':<18}{'weight':<10}{'val_nelbo':>10}{'exact':>9}{'difference':>20}")
    for config in configs(settings, quick=given.quick):
        row = measure(config)
        rows.append(row)
        model = f"{row.objective} {row.block_size}"
        mark = "  BELOW" if row.below else ""
        print(
            f"{model:<16}{row.schedule:<18}{row.reweighting:<10}{row.val_nelbo:>10.4f}{row.exact:>9.4f}"
            f"{row.difference:>+11.4f} ± {row.interval:.4f}{mark}",
            flush=True,
        )
    summary = {
        "rows": len(rows),
        "below": sum(row.below for row in rows),
        "smallest_difference": min(row.difference for row in rows),
        "entropy_rate": Synthetic().entropy_rate,
        "seconds": round(sum(row.seconds for row in rows), 1),
    }
    print(f"{summary['rows']} runs of {given.steps} steps, {summary['below']} below the source's likelihood")
    document = {
        "name": "oracle",
        "machine": machine(),
        "settings": {**settings, "quick": given.quick},
        "rows": [row._asdict() for row in rows],
        "summary": summary,
    }
    print(json.dumps(document))
    sys.exit(1 if summary["below"] else 0)


def configs(settings: dict[str, Any], *, quick: bool) -> Iterator[TrainConfig]:
    """Every objective at its block sizes, with every schedule and weight that it takes."""
    schedules, weights = (
        [each.model_fields["name"].default for each in u] for u in (SCHEDULES, REWEIGHTINGS)
    )
    if quick:
        schedules, weights = ["loglinear"], ["none", "sigmoid"]
    for objective in (each.model_fields["name"].default for each in OBJECTIVES):
        plain = {**settings, "objective.name": objective}
        sizes = [{"finetune.block_size": size, "pretrain.block_size": size} for size in BLOCK_SIZES]
        chosen = [size for size in sizes if config_or_none({**plain, **size})] or [{}]
        for size in chosen:
            for schedule in schedules:
                for weight in weights:
                    values = {"finetune.schedule.name": schedule, "finetune.reweighting.name": weight}
                    config = config_or_none({**plain, **size, **values})
                    if config:
                        yield config


def config_or_none(values: dict[str, Any]) -> TrainConfig | None:
    """None where the objective does not take these: AR has no noise to schedule."""
    try:
        return TrainConfig.from_dotted(values)
    except InvalidConfig:
        return None


def measure(config: TrainConfig) -> Row:
    began = time.monotonic()
    with TemporaryDirectory() as folder:
        reports = [report for report in train(config, Path(folder), device="cpu") if report is not None]
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
        val_nelbo=evaluation.nelbo,
        exact=sum(exact_D) / sum(evaluation.tokens_D),
        difference=difference,
        interval=Z95 * se,
        below=difference + Z95 * se < 0,
        seconds=time.monotonic() - began,
    )


def exact(config: TrainConfig, evaluation: Evaluation) -> list[float]:
    """The source's nats of each document's tokens, in the order of the evaluation's."""
    assert isinstance(config.data, Synthetic)
    packed = load(config.data).valid
    rows_S = strided_rows(config.evaluation.seed, config.evaluation.sequences, len(packed.tokens_SL))
    nats_SL = config.data.exact_nats_SL(packed.tokens_SL[rows_S])[:, 1:]
    documents, document_SL = np.unique(packed.documents_SL[rows_S][:, 1:], return_inverse=True)
    assert np.bincount(document_SL.ravel()).tolist() == evaluation.tokens_D
    return np.bincount(document_SL.ravel(), nats_SL.ravel(), len(documents)).tolist()


def machine() -> dict[str, Any]:
    return {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    main()
