"""What a folder of a run is about: one phase, what tells it from another, how far it has come. No torch."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from trainer.config.train_config import TrainConfig
from trainer.errors import DamagedCheckpoint
from trainer.settings.phase import Phase


class Part(NamedTuple):
    """What a folder is about: one phase of a run."""

    name: str
    phase: Phase
    before: int  # steps of the run before this phase
    evaluate_every: int
    content: dict[str, Any]  # the dotted values that tell it from another
    ends_run: bool  # keeps the best checkpoint, and closes with var_nelbo and test

    @property
    def last(self) -> int:
        return self.before + self.phase.steps


def pretrain_of(config: TrainConfig) -> Part:
    phase = config.pretrain
    return Part("pretrain", phase, 0, max(1, phase.steps), config.stage_content(), False)


def finetune_of(config: TrainConfig) -> Part:
    content = {"seed": config.seed, **config.content()}
    return Part("finetune", config.finetune, config.pretrain.steps, config.evaluation.every, content, True)


PARTS: dict[str, Callable[[TrainConfig], Part]] = {"pretrain": pretrain_of, "finetune": finetune_of}


@dataclass
class Progress:
    """The scalars of a checkpoint."""

    step: int  # trained
    recorded: int  # its row, if one is due, is written
    seconds: float = 0.0
    loss_sum: float = 0.0  # this and the next three: since the last row
    norm_sum: float = 0.0
    norm_square_sum: float = 0.0
    steps_since_row: int = 0
    best_nelbo: float = math.inf
    best_step: int = -1
    rows_bytes: int = 0
    clip: list[float] | None = None  # the [low, high] that a search has found and the run goes on with

    @property
    def norm_variance(self) -> float:
        """Unbiased, of the gradient's norm over the steps since the last row; two or more."""
        n = self.steps_since_row
        return max(0.0, self.norm_square_sum - self.norm_sum**2 / n) / (n - 1)


def progress_in(path: Path, facts: Mapping[str, Any]) -> Progress:
    """A checkpoint's. Raises DamagedCheckpoint where its facts do not have it."""
    try:
        return Progress(**facts["progress"])
    except (KeyError, TypeError):
        raise DamagedCheckpoint(f"{path}: damaged, for it does not say how far its run had come") from None
