"""What a run's folder says that it holds: config.json, its phase and its whole config. No torch."""

import json
from pathlib import Path

from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.errors import CheckpointError, DamagedCheckpoint, MissingCheckpoint

PHASES = ("pretrain", "finetune")


def read_config(folder: Path) -> TrainConfig:
    """What the folder was trained with. Raises CheckpointError."""
    return read_phase(folder)[1]


def read_phase(folder: Path) -> tuple[str, TrainConfig]:
    """The phase of a run that the folder holds, and the run's config. Raises CheckpointError."""
    path = folder / "config.json"
    try:
        said = json.loads(path.read_bytes())
        phase, values = said["phase"], said["config"]
        if phase not in PHASES or not isinstance(values, dict):
            raise ValueError(phase)
    except FileNotFoundError:
        raise MissingCheckpoint(f"{path}: not there, so {folder} holds no run") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamagedCheckpoint(
            f"{path}: damaged, or not a run's (a published checkpoint is imported)"
        ) from None
    try:
        return phase, TrainConfig.from_dotted(values)
    except InvalidConfig as error:
        first = error.problems[0]
        raise CheckpointError(
            f"{path}: damaged, or of another version ({first.key}: {first.sentence})"
        ) from None
