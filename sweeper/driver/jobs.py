"""What a worker is given, and what it says. Plain values: they cross from process to process."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.driver.failures import Failure
from sweeper.files.stage_cache import discard_damaged, seal
from sweeper.store.records import Usage
from trainer.config.stored import read_phase
from trainer.config.train_config import TrainConfig
from trainer.errors import CheckpointError, DamagedCheckpoint, MissingCheckpoint
from trainer.evaluation.record import Report

Reports = Generator[Report | None, None, None]
STATE = ("last.safetensors", "best.safetensors", "rows.jsonl")  # of a run: how far it has come
DAMAGED = ".damaged"  # what follows the name of a file that is set aside


class Cost(NamedTuple):
    """Of one attempt, from its start to now."""

    cpu_seconds: float = 0.0
    gpu_seconds: float = 0.0

    def since(self, earlier: "Cost") -> "Cost":
        return Cost(self.cpu_seconds - earlier.cpu_seconds, self.gpu_seconds - earlier.gpu_seconds)


NOTHING = Cost()


class TrialJob(NamedTuple):
    trial: int
    attempt: int
    values: dict[str, Any]  # dotted, the seed included
    folder: str
    pretrained: str | None  # the folder of the stage it branches from
    acknowledged: int  # reports before and at this step are all in the store
    called: int = 0  # its number in the sweep; 0: the trial's id
    apart: bool = False  # from all others: in a process of its own, whatever resources.fused says

    @property
    def name(self) -> str:
        return f"trial {self.called or self.trial}"

    def run(self, trainer: str, device: str) -> Reports:
        with _damage_set_aside(Path(self.folder)):
            yield from import_module(trainer).train(
                TrainConfig.from_dotted(self.values),
                Path(self.folder),
                pretrained=Path(self.pretrained) if self.pretrained else None,
                attempt=self.attempt,
                acknowledged=self.acknowledged,
                device=device,
            )

    @property
    def beginning(self) -> str:
        """Where it starts without a checkpoint, in words."""
        return "its pretrain" if self.pretrained else "its first step"


class StageJob(NamedTuple):
    """A pretrain that several trials branch from."""

    key: str
    attempt: int
    values: dict[str, Any]
    folder: str
    parent: str | None = None  # the folder of the stage from whose end it goes on
    begun: int = 0  # the steps of that
    apart: bool = False  # as TrialJob has it

    @property
    def name(self) -> str:
        return f"pretrain {self.key}"

    def run(self, trainer: str, device: str) -> Reports:
        config, folder = TrainConfig.from_dotted(self.values), Path(self.folder)
        discard_damaged(folder)
        with _damage_set_aside(folder):
            yield from import_module(trainer).pretrain(
                config,
                folder,
                parent=Path(self.parent) if self.parent else None,
                attempt=self.attempt,
                device=device,
            )
        seal(folder)

    @property
    def beginning(self) -> str:
        return f"step {self.begun + 1}" if self.begun else "its first step"


class ScoringJob(NamedTuple):
    """The best checkpoint of a run that is complete, scored under the masks of a round of the race."""

    trial: int
    round: int
    folder: str
    error: float  # wanted of masks alone, nats per token
    called: int  # the trial
    apart: bool = False  # as TrialJob has it

    @property
    def name(self) -> str:
        return f"score of trial {self.called} in round {self.round}"

    def run(self, trainer: str, device: str) -> Reports:
        return import_module(trainer).score(
            Path(self.folder), error=self.error, round=self.round, device=device
        )


Job = TrialJob | StageJob | ScoringJob


@contextmanager
def _damage_set_aside(folder: Path) -> Iterator[None]:
    """Where the folder does not hold what was written there, it is out of the way of the next attempt, which
    begins again."""
    try:
        yield
    except (DamagedCheckpoint, MissingCheckpoint):
        for name in (*STATE, *(["config.json"] if _is_damaged(folder) else [])):
            if (folder / name).exists():
                os.replace(folder / name, folder / f"{name}{DAMAGED}")
        raise


def _is_damaged(folder: Path) -> bool:
    """Whether its config.json is; a run keeps the precision that this says."""
    try:
        read_phase(folder)
    except CheckpointError as error:
        return isinstance(error, DamagedCheckpoint)
    return False


class News(NamedTuple):
    """What one step of a worker brings: any reports, and whether the job is over."""

    reports: tuple[Report, ...]
    cost: Cost
    over: bool
    failure: Failure | None  # why it is over, where it did not come to its end
    worker: str  # host:pid
    usage: Usage | None = None  # now and then
