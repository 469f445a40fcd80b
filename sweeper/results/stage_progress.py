"""How far are the pretrains that run? The trainer writes a line for each step: sweeper/results/savings.py."""

import os
from pathlib import Path
from typing import NamedTuple

from sweeper.results.savings import LEDGER
from sweeper.store.queries import Reader
from sweeper.store.records import UNFINISHED, StageRecord, SweepRecord

TAIL = 256  # bytes, of a ledger's end


class Pretrain(NamedTuple):
    """One that is being run."""

    key: str
    step: int | None  # the last that was trained; None where it cannot be seen from here
    steps: int

    @classmethod
    def at(cls, key: str, folder: str, steps: int) -> "Pretrain":
        return cls(key, _last_step(folder), steps)

    def words(self) -> str:
        """'pretrain 344c8f1bba4517c4: step 120 of 1,500'."""
        so_far = "running," if self.step is None else f"step {self.step:,} of"
        return f"pretrain {self.key}: {so_far} {self.steps:,}{' steps' if self.step is None else ''}"


def running_stages(reader: Reader, sweep: SweepRecord) -> list[StageRecord]:
    """Those that its trials wait for, by the store alone."""
    waiting = {trial.stage for trial in reader.trials(sweep.id) if trial.state in UNFINISHED and trial.stage}
    return [stage for stage in reader.stages(sorted(map(str, waiting))) if stage.state == "running"]


def pretrains(stages: list[StageRecord]) -> list[Pretrain]:
    return [Pretrain.at(stage.key, stage.folder, stage.steps) for stage in stages]


def _last_step(folder: str) -> int | None:
    """0 where it has trained none yet; None where its folder, which may be an object store's, is not here."""
    try:
        with (Path(folder) / LEDGER).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = [line.split() for line in file.read().splitlines()]
    except FileNotFoundError:
        return 0 if Path(folder).is_dir() else None
    except OSError:
        return None
    whole = [line[1] for line in lines if len(line) == 2 and line[1].isdigit()]
    return int(whole[-1]) if whole else 0
