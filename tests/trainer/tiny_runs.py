"""A corpus of a few thousand words and a network of a few thousand weights: 100 steps take a second."""

import random
from collections.abc import Generator
from pathlib import Path
from typing import Any

import torch

from trainer.config.train_config import TrainConfig
from trainer.evaluation.record import Report
from trainer.training.train import train

WORDS = [
    f"{start}{end}"
    for start in ("mask", "block", "token", "noise", "learn")
    for end in ("", "s", "ed", "ing")
]


def write_corpus(folder: Path) -> Path:
    """150 documents, one a line."""
    rng = random.Random(0)
    lines = [" ".join(rng.choice(WORDS) for _ in range(rng.randint(20, 60))) for _ in range(150)]
    path = folder / "corpus.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def tiny_config(corpus: Path, **changes: Any) -> TrainConfig:
    """changes: dotted names with __ for the dot."""
    return TrainConfig.from_dotted(
        {
            "data.name": "files",
            "data.train": str(corpus),
            "data.document": "line",
            "data.length": 16,
            "data.vocab_size": 300,
            "model.width": 16,
            "model.layers": 1,
            "model.heads": 1,
            "model.cond_width": 8,
            "model.dropout": 0.1,
            "pretrain.steps": 20,
            "pretrain.batch_size": 4,
            "finetune.steps": 30,
            "finetune.block_size": 4,
            "finetune.batch_size": 4,
            "evaluation.every": 10,
            "evaluation.sequences": 16,
            "evaluation.variance_batches": 2,
            "log_every": 5,
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
    )


def reports_of(config: TrainConfig, folder: Path, **given: Any) -> list[Report]:
    return [report for report in train(config, folder, device="cpu", **given) if report is not None]


def same_tensors(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def without_seconds(reports: list[Report]) -> list[Report]:
    """Nor memory: what two runs of equal bits need not share."""
    own = ("seconds", "peak_memory")
    return [r._replace(values={k: v for k, v in r.values.items() if k not in own}) for r in reports]


def returned(running: Generator[None, None, Any]) -> Any:
    """Runs a generator to its end; what it returns."""
    while True:
        try:
            next(running)
        except StopIteration as stop:
            return stop.value
