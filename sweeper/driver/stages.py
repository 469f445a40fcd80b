"""What does a trial branch from? Pretrain stages, run once, kept by content for every sweep of the store.

A stage is handed out as a job of its own, once; trials that need it wait without holding a slot. Two
sweeps may want one stage at the same time: the worker's lock on the stage's folder makes them take turns,
and the second finds the work done. A finished stage is looked at (sweeper/files/stage_cache.py) when a driver
first needs it, and when a trial cannot begin with it; it is run again where its files are damaged or gone,
and where they only seem to be whole.

What two stages have in common up to a step, their stable part (lr_schedule constant, or wsd before its decay,
and as many steps of warm-up), is trained once: the longer goes on from where the shorter has ended, and a
decay from a stage that is its stable part. Each ends with the bits that it would have alone, so none of this
is part of a key, and a stage that is damaged, gone or failed is only not gone on from.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.driver.jobs import NOTHING, Cost, StageJob
from sweeper.driver.lease import HeldSweep
from sweeper.files.remote import is_remote, within
from sweeper.files.snapshots import Snapshots, has_checkpoint
from sweeper.files.stage_cache import fault
from sweeper.store.records import TrialRecord
from trainer.config.train_config import TrainConfig


class Wanted(NamedTuple):
    """A stage that a trial waits for, or that is a part of one."""

    key: str
    steps: int
    stable: int  # of the steps, from the first: they may be another stage's, too
    way: str  # which stable part; equal ones have equal bits as far as both go
    values: Mapping[str, Any]  # of a run that has this pretrain


class Stages:
    """Each stage as this driver sees it: needed, running, ready or failed."""

    def __init__(self, held: HeldSweep, trials: Iterable[TrialRecord]):
        self._reader, self._writer, self._files = held.reader, held.writer, held.record.folder
        self._failed_here = {trial.stage for trial in trials if trial.state == "failed"}
        self._states: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        self._charged: dict[str, Cost] = {}  # of the running attempts: what the store has already
        self._seen = set[str]()  # those that were asked for
        self._wanted: dict[str, Wanted] = {}
        self._parts_by_way: dict[str, dict[int, str]] = {}  # keys of those without a decay, by their steps
        self._begun: dict[str, str | None] = {}  # those with a checkpoint, by the part they went on from
        self.errors: dict[str, str] = {}
        self.steps: dict[
            str, int
        ] = {}  # the last that was reported: of one in an object store it is all to see

    def want(self, waiting: Mapping[str, Mapping[str, Any]]) -> None:
        """By stage, the values of a trial that waits for it, the seed included."""
        new = waiting.keys() - self._seen
        if not new:
            return
        self._seen |= new
        kept = self._reader.complete_stages()
        for key in sorted(new - kept.keys()):
            self._want(key, waiting[key], kept)

    def _want(self, key: str, values: Mapping[str, Any], kept: Mapping[str, int]) -> None:
        """kept: the steps of what is complete, by key."""
        config = TrainConfig.from_dotted(values)
        steps, stable, way = config.pretrain.steps, config.pretrain.stable_steps, config.until(1).stage_key()
        self._wanted[key] = Wanted(key, steps, stable, way, values)
        parts = self._parts_by_way.setdefault(way, {})
        if steps == stable:
            parts.setdefault(steps, key)
        for step in {stable, *(each for each in kept.values() if each < stable)} - {0} - parts.keys():
            part = config.until(step)
            name = part.stage_key()
            if step == stable or name in kept:
                self._wanted[name] = Wanted(name, step, step, way, part.to_dotted())
                parts[step] = name

    def state(self, key: str) -> str:
        """One is running, too, where a part of it is that it is to go on from."""
        state = self._state(key)
        if state == "needed" and any(self._state(part.key) == "running" for part in self._parts(key)):
            return "running"
        return state

    def _state(self, key: str) -> str:
        if key not in self._states:
            self._states[key] = self._look_up(key)
        return self._states[key]

    def _parts(self, key: str) -> list[Wanted]:
        """The stages it may go on from, the shortest first; of one that has begun, the one it did."""
        if key not in self._wanted:
            return []
        whole = self._wanted[key]
        parts = sorted(self._parts_by_way[whole.way].items())
        found = [self._wanted[name] for step, name in parts if step <= whole.stable and step < whole.steps]
        return [each for each in found if self._begun.get(key, each.key) == each.key]

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
        if self._state(key) == "ready":
            self._states[key] = "needed"

    def first(self, key: str, values: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
        """What is to be trained now for a stage that is needed: the shortest of its parts that is not there,
        or it itself. Each of them has a row then, so that nobody clears what the next one goes on from.

        values: of a trial that needs the stage, the seed included.
        """
        lacking = [each for each in self._parts(key) if self._state(each.key) == "needed"]
        if not lacking or key in self._begun:
            return key, values
        parent = None
        for each in [*lacking, self._wanted[key]]:
            self._add(each.key, each.values, parent)
            parent = each.key
        return lacking[0].key, lacking[0].values

    def start(self, key: str, values: Mapping[str, Any], above: int = 0) -> StageJob:
        """values: as in `first`. above: as in Writer.start_stage."""
        parent = self._goes_on_from(key)
        folder = self._add(key, values, parent.key if parent else None)
        attempt = self._writer.start_stage(key, above, parent.key if parent else None)
        self._states[key] = "running"
        self._charged[key] = NOTHING
        if parent is None:
            return StageJob(key, attempt, dict(values), folder)
        return StageJob(key, attempt, dict(values), folder, self.folder(parent.key), parent.steps)

    def untrained(self, key: str, values: Mapping[str, Any]) -> int:
        """Steps that it would take now. values: as in `first`."""
        parent = self._goes_on_from(key)
        return int(values["pretrain.steps"]) - (parent.steps if parent else 0)

    def _goes_on_from(self, key: str) -> Wanted | None:
        """The longest of its parts that is there; of one that has begun, the one it did."""
        there = [each for each in self._parts(key) if self._state(each.key) == "ready" or key in self._begun]
        return there[-1] if there else None

    def _add(self, key: str, values: Mapping[str, Any], parent: str | None) -> str:
        """Its row; returns its folder."""
        content, folder = TrainConfig.from_dotted(values).stage_content(), self.folder(key)
        steps = values["pretrain.steps"]
        self._writer.add_stage(key=key, steps=steps, values=content, folder=folder, parent=parent)
        return folder

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
        if stage.attempt and has_checkpoint(self.folder(key)):
            self._begun[key] = stage.parent
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
