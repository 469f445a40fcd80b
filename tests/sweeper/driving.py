"""A sweep for tests, and its driver without Ray: a simulated worker runs in this process."""

import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event

from sweeper.driver.driver import EXHAUSTED, Driver, DriverSettings
from sweeper.driver.failures import failure_of
from sweeper.driver.jobs import Cost, Job, TrialJob
from sweeper.driver.lease import LEASE, HeldSweep
from sweeper.driver.progress import Status
from sweeper.driver.spending import Allowance
from sweeper.spec.load import read_spec
from sweeper.spec.spec import SweepSpec
from sweeper.store.clock import Clock
from sweeper.store.engine import sqlite_file
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests import fakes

TEXT = """
name: test
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  finetune.steps: 4
  evaluation.every: 2
space:
  finetune.block_size: {choice: [4, 8, 16]}
  finetune.schedule.name: {choice: [loglinear, gaussian]}
  finetune.schedule.mu: {uniform: [0.2, 0.8], when: {finetune.schedule.name: gaussian}}
search: {sampler: tpe, trials: 14, seed: 3}
"""

STAGED = ("trainer.pretrain.steps=2", "trainer.pretrain.block_size=64")  # overrides


def make_spec(*overrides: str, text: str = TEXT) -> SweepSpec:
    return read_spec(text, "test.yaml", "test", overrides)


class Killed(BaseException):
    """The driver is dead: nothing of its memory is left."""


class Silent:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def started(self, trial: int | None, text: str) -> None:
        self.lines.append(text)

    def rows(self, trial: int, step: int, values: Any) -> None: ...

    def ended(self, trial: int | None, state: str, text: str) -> None:
        self.lines.append(text)

    def note(self, text: str) -> None:
        self.lines.append(text)

    def status(self, status: Status) -> None: ...

    def close(self) -> None: ...


@contextmanager
def opened(
    url: str,
    spec: SweepSpec,
    files: Path,
    *,
    slots: int = 1,
    commits: int | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Driver]:
    """commits: the driver is killed at the next one. clock: of the time that is spent."""
    left = commits

    def count(connection: object) -> None:
        nonlocal left
        if left is not None:
            if left <= 0:
                raise Killed
            left -= 1

    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        sweep = reader.sweep(spec.name) or store.create_sweep(
            name=spec.name, spec_text="", spec=spec.resolved(), code_version="test", folder=str(files)
        )
        store.release_lease(sweep.id, sweep.lease_holder or "")  # the runner does so where the holder is dead
        store.take_lease(sweep.id, "me", LEASE)
        event.listen(store._engine, "commit", count)  # called before the commit, which it prevents
        held = HeldSweep(spec, sweep, reader, store.writer(sweep.id, "me"))
        settings = DriverSettings(slots, poll_seconds=0.0, clock=Clock(steady=clock))
        yield Driver(held, Silent(), settings, Allowance(spec.budget))


def drive(driver: Driver, slots: int = 1, train: str = "tests.fakes") -> None:
    """To the end: up to `slots` jobs at a time, one step of each in turn. train: the trainer's module."""
    running: dict[str, tuple[Job, Any]] = {}
    while True:
        while len(running) < slots:
            job = driver.next()
            if job is None or job is EXHAUSTED:
                break
            Path(job.folder).mkdir(parents=True, exist_ok=True)
            running[job.name] = (job, job.run(train, "cpu"))
        if not running and driver.stop_reason is not None:
            driver.interrupt(driver.stop_reason.reason)
            return
        if not running:
            assert driver.next() is EXHAUSTED
            driver.end()
            return
        if not driver.poll():
            return
        for name, (job, run) in list(running.items()):
            if not advance(driver, job, run):
                del running[name]


def trial_of(driver: Driver) -> TrialJob:
    """The next job, which is a trial's."""
    job = driver.next()
    assert isinstance(job, TrialJob)
    return job


def advance(driver: Driver, job: Job, run: Any) -> bool:
    try:
        report = next(run)
    except StopIteration:
        driver.finish(job, Cost(1.0, 0.0))
        return False
    except Exception as error:
        driver.fail(job, failure_of(error))
        return False
    return driver.take(job, [report] if report else [])


def run_to_end(url: str, spec: SweepSpec, files: Path, *, slots: int = 1) -> None:
    fakes.killed = False
    with opened(url, spec, files, slots=slots) as driver:
        drive(driver, slots)


def run_until_killed(url: str, spec: SweepSpec, files: Path, commits: int, slots: int = 1) -> bool:
    """The driver is killed at its commit number `commits`, from 0. False: it came to its end before."""
    fakes.killed = False
    try:
        with opened(url, spec, files, commits=commits, slots=slots) as driver:
            drive(driver, slots)
        return False
    except Killed:
        fakes.killed = True  # before its generators are collected
        return True


def kill_points(url: str, spec: SweepSpec, place: Path, stride: int) -> Iterator[str]:
    """An undisturbed run into url; then, for every stride-th of its commits, a store as it was just then."""
    commits, copies = 0, []

    def copy(connection: object) -> None:
        nonlocal commits
        commits += 1
        if commits % stride == 0:
            copies.append(place / str(commits))
            shutil.copytree(place / "files", copies[-1] / "files", dirs_exist_ok=True)
            new_file, old_file = copies[-1] / "s.db", str(sqlite_file(url))
            with closing(sqlite3.connect(old_file)) as old, closing(sqlite3.connect(new_file)) as new:
                old.backup(new)

    fakes.killed = False
    (place / "files").mkdir(parents=True)
    with opened(url, spec, place / "files") as driver:
        event.listen(driver._held.writer._engine, "commit", copy)
        drive(driver)
    for each in copies:
        with closing(sqlite3.connect(each / "s.db")) as database:
            database.execute("UPDATE sweeps SET folder = ?", (str(each / "files"),))
            database.execute(
                "UPDATE stages SET folder = replace(folder, ?, ?)",
                (str(place / "files"), str(each / "files")),
            )
            database.commit()
        yield f"sqlite:///{each}/s.db"


def told(url: str, name: str = "test") -> dict[str, Any]:
    """Everything that a sweep ends up with, times, costs and attempts aside."""
    with closing(Reader(url)) as reader:
        sweep = reader.sweep(name)
        assert sweep is not None
        trials = reader.trials(sweep.id)
        own = [trial.id for trial in trials if trial.repeat_of is None]
        names = {name for trial in own for name in reader.metric_names(trial)} - {"seconds", "peak_memory"}
        return {
            "sweep": (sweep.state, sweep.note),
            "trials": [
                (
                    t.id,
                    t.role,
                    t.number,
                    t.seed,
                    t.repeat_of,
                    t.state,
                    t.params,
                    t.distributions,
                    t.system_attrs,
                    t.error,
                    t.reason,
                )
                for t in trials
            ],
            "rows": {name: reader.curve(own, name) for name in names},
            "best": sorted(row for row in reader.latest(sweep.id) if row.name in names),
            "evaluations": sorted((e.trial, e.step, e.nelbo) for e in reader.evaluations(sweep.id, "valid")),
        }
