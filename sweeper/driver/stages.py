"""What does a trial branch from? Pretrain stages, run once, kept by content for every sweep of the store.

A stage is handed out as a job of its own, once; trials that need it wait without holding a slot. Two
sweeps may want one stage at the same time: the worker's lock on the stage's folder makes them take turns,
and the second finds the work done. A finished stage is looked at (sweeper/files/stage_cache.py) when a driver
first needs it, and when a trial cannot begin with it; it is run again where its files are damaged or gone,
and where they only seem to be whole.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sweeper.driver.jobs import NOTHING, Cost, StageJob
from sweeper.driver.lease import HeldSweep
from sweeper.files.remote import is_remote, within
from sweeper.files.snapshots import Snapshots
from sweeper.files.stage_cache import fault
from sweeper.store.records import TrialRecord
from trainer.config.train_config import TrainConfig


class Stages:
    """Each stage as this driver sees it: needed, running, ready or failed."""

    def __init__(self, held: HeldSweep, trials: Iterable[TrialRecord]):
        self._reader, self._writer, self._files = held.reader, held.writer, held.record.folder
        self._failed_here = {trial.stage for trial in trials if trial.state == "failed"}
        self._states: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._charged: dict[str, Cost] = {}  # of the running attempts: what the store has already
        self.errors: dict[str, str] = {}
        self.steps: dict[
            str, int
        ] = {}  # the last that was reported: of one in an object store it is all to see

    def state(self, key: str) -> str:
        if key not in self._states:
            self._states[key] = self._look_up(key)
        return self._states[key]

    def folder(self, key: str) -> str:
        """A path or a URI."""
        return self._folders.get(key, within(self._files, "stages", key))

    def look_again(self, key: str) -> None:
        """Its files may be gone since they were looked at; or it failed, and is to be tried again."""
        if self._states.get(key) != "running":
            self._states.pop(key, None)
            self._failed_here.discard(key)

    def doubt(self, key: str) -> None:
        """A trial could not begin with it. Where it seems to be there, a worker is to look at all of it, and
        trains what is not whole: of one in an object store the driver reads no byte."""
        self.look_again(key)
        if self.state(key) == "ready":
            self._states[key] = "needed"

    def start(self, key: str, values: Mapping[str, Any], above: int = 0) -> StageJob:
        """values: of a trial that needs the stage, the seed included. above: as in Writer.start_stage."""
        content = TrainConfig.from_dotted(values).stage_content()
        folder = self.folder(key)
        self._writer.add_stage(key=key, steps=values["pretrain.steps"], values=content, folder=folder)
        attempt = self._writer.start_stage(key, above)
        self._states[key] = "running"
        self._charged[key] = NOTHING
        return StageJob(key, attempt, dict(values), folder)

    def charge(self, job: StageJob, cost: Cost, step: int) -> None:
        """Stores what the attempt has cost so far: a kill of the driver loses only what comes after."""
        self.steps[job.key] = step
        more = cost.since(self._charged[job.key])
        self._writer.charge_stage(job.key, job.attempt, **more._asdict())
        self._charged[job.key] = cost

    def finish(self, job: StageJob, cost: Cost) -> None:
        # Another sweep may have started the stage anew and fenced us off; its files are whole all the same.
        self._end(job, "complete", cost)
        self._states[job.key] = "ready"

    def fail(self, job: StageJob, error: str, cost: Cost) -> None:
        self._end(job, "failed", cost, error)
        self._states[job.key], self.errors[job.key] = "failed", error

    def hand_back(self, job: StageJob, cost: Cost) -> None:
        """To be run again, from its last checkpoint."""
        self._end(job, "queued", cost)
        self._states[job.key] = "needed"

    def _end(self, job: StageJob, state: str, cost: Cost, error: str = "") -> None:
        more = cost.since(self._charged.pop(job.key))
        self._writer.end_stage(job.key, job.attempt, state, error=error, **more._asdict())

    def _look_up(self, key: str) -> str:
        stage = self._reader.stage(key)
        if stage is None:
            return "needed"
        if is_remote(stage.folder) or Path(stage.folder).is_dir():
            self._folders[key] = stage.folder
        if stage.state == "complete":
            wrong = _fault(self.folder(key))
            if not wrong:
                return "ready"
            self._writer.add_event("stage", f"pretrain {key} is run again: {wrong}")
        if stage.state == "failed" and key in self._failed_here:
            self.errors[key] = stage.error
            return "failed"
        # Never run; or left by a driver that died; or failed for another sweep; or its files are not whole.
        return "needed"


def _fault(folder: str) -> str:
    """'' where trials can branch from it; whoever fetches it from an object store looks at its bytes."""
    if not is_remote(folder):
        return fault(Path(folder))
    try:
        return Snapshots(folder).fault()
    except OSError as error:
        return f"its checkpoint cannot be read: {' '.join(str(error).split())[:200]}"
