"""A trained run scored again, without training: with more masks, more text, or the masks of another round."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from trainer.checkpoints.trained import open_trained
from trainer.config.stored import read_config
from trainer.data.base import Split
from trainer.data.corpus import prepare
from trainer.evaluation.bound import evaluate
from trainer.evaluation.record import Evaluation


def reevaluate(
    folder: Path,
    *,
    split: Split = "valid",
    rank_error: float | None = None,
    masks: int | None = None,
    sequences: int | None = None,
    round: int = 0,
    device: str = "auto",
) -> Generator[None, None, Evaluation]:
    """Scores folder/best.safetensors, by its moving average. Yields None after each pass.

    rank_error: wanted standard error of masks alone, nats per token; masks: their number instead. With
    neither, as the run's own rank_error has it, and where it has none, as any look of the run.
    sequences: of the split, all of them where it has fewer; by default as many as the run was scored on.
    Another number is another identity. round: whose masks (trainer/evaluation/bound.py); part of the
    provenance alone.

    Reads config.json, the checkpoint and the corpus, and writes nothing in the folder, so that it may be
    called while others read there. A repetition has the same bits on one machine; at the run's own settings
    they are what the run's end reported. torch's number of threads is left as it is. Raises ValueError for
    both rank_error and masks and for numbers that are not positive, CheckpointError where there is no run, no
    best checkpoint where the corpus cannot be had."""
    if rank_error is not None and masks is not None:
        raise ValueError("rank_error sets the number of masks: give one of the two")
    settings = {"rank_error": rank_error, "sequences": sequences}
    given = {name: value for name, value in settings.items() if value is not None}
    for name, value in {**given, "masks": 1 if masks is None else masks}.items():
        if value <= 0:
            raise ValueError(f"{name} must be greater than 0, not {value:g}")
    config = read_config(folder)
    scoring = config.scoring.model_copy(update=given)
    yield from prepare(config.data)
    model, corpus, block_size, step = open_trained(config, folder / "best.safetensors", device=device)
    return (
        yield from evaluate(
            model,
            config.objective,
            block_size,
            split,
            corpus,
            scoring,
            step,
            ranks=True,
            masks=masks,
            round=round,
        )
    )
