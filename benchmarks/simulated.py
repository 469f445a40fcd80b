"""A trainer that reports without training: what is left of a sweep is the sweeper's own cost."""

import math
import random
from collections.abc import Iterator
from pathlib import Path

from trainer.config.train_config import TrainConfig
from trainer.evaluation.record import Evaluation, Report

REPORTS, DOCUMENTS = 4, 50


def train(
    config: TrainConfig,
    folder: Path,
    *,
    pretrained: Path | None = None,
    attempt: int = 1,
    acknowledged: int = 0,
    device: str = "auto",
) -> Iterator[Report | None]:
    """Curves that fall towards (mu - 0.4)^2, with as many documents as a small evaluation has."""
    values = config.to_dotted()
    mu, lr = values.get("finetune.schedule.mu", 0.9), values["finetune.lr"]
    noise = random.Random(f"{config.seed} {mu} {lr}")
    for report in range(1, REPORTS + 1):
        step = config.finetune.steps * report // REPORTS
        nelbo = 4 + (mu - 0.4) ** 2 + abs(math.log10(lr) + 3) / 10 + 1 / report + noise.gauss(0, 0.01)
        nats = [nelbo * 63 + noise.gauss(0, 1) for _ in range(DOCUMENTS)]
        evaluation = Evaluation("valid", step, nelbo, 0.02, {"text": "simulated"}, {}, nats, [63] * DOCUMENTS)
        rows = {"val_nelbo": nelbo, "val_ppl": math.exp(nelbo), "train_loss": nelbo, "tokens": 1024.0 * step}
        yield Report(step, rows, (evaluation,))
