"""A run's best checkpoint, scored again without training: under the masks of a round, for a wanted error."""

from collections.abc import Generator
from pathlib import Path

from trainer.checkpoints.trained import open_trained, read_config
from trainer.data.base import Split
from trainer.data.corpus import prepare
from trainer.evaluation.bound import evaluate
from trainer.evaluation.record import Report

BEST = "best.safetensors"


def reevaluated(
    folder: Path, *, error: float, round: int, device: str = "auto"
) -> Generator[Report | None, None, None]:
    """On valid, and on test where the run was judged on it. round: 0 for the run's own masks.

    Yields None after each pass, and one Report. Raises CheckpointError or DataError.
    """
    config = read_config(folder)
    yield from prepare(config.data)
    trained = open_trained(config, folder / BEST, device=device)
    settings = config.evaluation.model_copy(update={"error": error})
    splits: list[Split] = ["valid", "test"] if config.evaluation.test else ["valid"]
    found = []
    for split in splits:
        evaluation = yield from evaluate(
            trained.model,
            config.objective,
            trained.block_size,
            split,
            trained.corpus,
            settings,
            trained.step,
            round=round,
        )
        found.append(evaluation)
    yield Report(trained.step, {}, tuple(found))
