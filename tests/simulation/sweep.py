"""One simulated sweep: drivers one after another, each with its workers, on one thread, until it has
ended."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, NamedTuple

from sweeper.driver import failures
from sweeper.driver.driver import EXHAUSTED, Driver, DriverSettings
from sweeper.driver.jobs import Cost, Job
from sweeper.driver.lease import LEASE, HeldSweep, lease
from sweeper.driver.spending import SPENT, Allowance
from sweeper.execution.registration import register
from sweeper.spec.spec import SweepSpec
from sweeper.store.controls import request
from sweeper.store.engine import LeaseLost, StoreError, sqlite_file
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.simulation import trainer
from tests.simulation.scenario import Scenario
from tests.simulation.world import Killed, World
from tests.sweeper.driving import Silent
from trainer.evaluation.record import Report

DRIVERS, TURNS = 40, 5000  # more is a hang
IDLE = 30  # turns without a job, after which somebody has what is paused go on


class Violation(AssertionError):
    """What a sweep must never do."""


class Run(NamedTuple):
    job: Job
    steps: Iterator[Report | None]


class Sweep:
    """between: what happens before the n-th driver, from 1."""

    def __init__(self, scenario: Scenario, place: Path):
        self.scenario, self.place = scenario, place
        self.url, self.files = f"sqlite:///{place}/sweeps.db", place / "files"
        self.world = World(scenario.seed)
        self.between: dict[int, Callable[[], None]] = {}
        self.endings: list[str] = []  # of each driver
        self.lost: dict[str, int] = {}  # by the job's name: how often its worker died
        self.damaged: set[str] = set()  # stages
        self.asked_for: list[tuple[str, int | None]] = []
        self._at_a_step: list[tuple[int, Callable[[], None]]] = []
        self._running: dict[str, Run] = {}
        self._at: Run | None = None  # whose step it is
        self._seen: list[tuple[Job, Report]] = []
        self._driver: Driver | None = None
        self._to_lose = ""
        self._stolen: dict[str, list[Any]] | None = None  # the tables, as they were when it was

    # --- what faults do -----------------------------------------------------------------------
    def at_a_step(self, point: int, act: Callable[[], None]) -> None:
        """At the first turn of the loop from this point on: outside of any transaction."""
        self._at_a_step.append((point, act))

    def steal(self) -> None:
        if self._stolen is None and self._driver is not None:
            self._execute("UPDATE sweeps SET lease_holder = 'elsewhere:1#00000000', lease_until = 9e12")
            self._stolen = self.tables()

    def second_driver(self) -> None:
        with closing(Store(self.url)) as store, closing(Reader(self.url)) as reader:
            sweep = reader.sweep("simulated")
            if (
                sweep is None
                or self._stolen is not None
                or self.world.ahead + self.world.now >= (sweep.lease_until or 0.0)
            ):
                return
            # One of another machine: this process's own drivers are known to be dead, or not, by their pid.
            try:
                store.take_lease(sweep.id, "elsewhere:2#00000000", LEASE)
            except StoreError:
                return
        raise Violation("two drivers hold one lease")

    def ask(self, verb: str, place: int | None) -> None:
        with closing(Reader(self.url)) as reader:
            sweep = reader.sweep("simulated")
            trials = reader.trials(sweep.id) if sweep else []
        if not trials or sweep is None or (place is not None and place >= len(trials)):
            return
        trial = None if place is None else trials[place].id
        self.asked_for.append((verb, trial))
        request(self.url, sweep.id, verb, trial)

    def lose(self, how: str) -> None:
        self._to_lose = how

    def double(self) -> None:
        if self._seen and self._driver is not None:
            job, report = self.world.random.choice(self._seen)
            self._driver.take(job, [report], Cost())

    def damage_a_stage(self, how: str) -> None:
        found = sorted((self.files / "stages").glob(f"*/{trainer.LAST}"))
        if not found:
            return
        file = self.world.random.choice(found)
        self.damaged.add(file.parent.name)
        if how == "folder":
            shutil.rmtree(file.parent)
        elif how == "deleted":
            file.unlink()
        else:
            whole = file.read_bytes()
            middle = len(whole) // 2
            flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
            file.write_bytes(whole[:middle] if how == "cut" else flipped)

    # --- from the first driver to the last ------------------------------------------------------
    def run(self) -> None:
        trainer.world = self.world
        with self.world.entered():
            for number in range(1, DRIVERS + 1):
                if act := self.between.pop(number, None):
                    act()
                self.endings.append(self._one_driver())
                if self.endings[-1] in ("ended", "budget"):
                    return
        raise Violation(f"it does not end: {self.endings[-5:]}")

    def _one_driver(self) -> str:
        self.world.saves = True
        try:
            ending = self._drive()
        except Killed:
            self.world.saves = False
            ending = "killed"
        except StoreError as error:
            if self._stolen is not None:
                self._nothing_was_written(error)
                return "stolen"
            self.world.saves = self.world.random.random() < 0.5  # workers are ended, in one way or the other
            ending = "store"
        finally:
            self._close_all()
            self._driver = None
        if self._stolen is not None:  # and nobody has noticed
            self._nothing_was_written(LeaseLost())
            return "stolen"
        return ending

    def _drive(self) -> str:
        spec, slots = self.scenario.spec, self.scenario.slots
        with closing(Store(self.url)) as store, closing(Reader(self.url)) as reader:
            self.world.watch(store._engine)
            known = register(spec, self.files, store, reader, lambda _: None)
            if known.ended and not known.changed:
                return "ended"
            with lease(store, known.record) as holder:
                held = HeldSweep(known.spec, known.record, reader, store.writer(known.record.id, holder))
                known.write(held.writer)
                settings = DriverSettings(slots, poll_seconds=0.0)
                self._driver = driver = Driver(held, Silent(), settings, Allowance(known.spec.budget))
                if not driver.over():
                    self._to_its_end(driver, slots)
                if driver.stop_reason is not None:
                    driver.interrupt(driver.stop_reason.reason)
                    spent = driver.stop_reason.code == SPENT
                    return "budget" if spent else f"stopped: {driver.stop_reason.reason}"
                driver.end()
                return "ended"

    def _to_its_end(self, driver: Driver, slots: int) -> None:
        """As Tune's loop does: a look round, jobs for free slots, one step of each worker."""
        idle = 0
        for _ in range(TURNS):
            self._strike()
            self.world.now += 0.01
            if not driver.poll():
                return self._stop_workers(driver)
            while len(self._running) < slots:
                job = driver.next()
                if job is EXHAUSTED and not self._running:
                    return None
                if job is None or job is EXHAUSTED:
                    break
                Path(job.folder).mkdir(parents=True, exist_ok=True)
                self._running[job.name] = Run(job, job.run("tests.simulation.trainer", "cpu"))
            if not self._running and driver.stop_reason is not None:
                return None
            idle = 0 if self._running else idle + 1
            if idle > IDLE:
                self._go_on()
                idle = 0
            for name in self.world.random.sample(sorted(self._running), len(self._running)):
                self._step(driver, name)
        raise Violation(f"no end after {TURNS} turns")

    def _strike(self) -> None:
        due = [each for each in self._at_a_step if each[0] <= self.world.points]
        self._at_a_step = [each for each in self._at_a_step if each[0] > self.world.points]
        for _, act in due:
            act()

    def _step(self, driver: Driver, name: str) -> None:
        """One step of one worker, and what its driver is told of it."""
        job, steps = self._running[name]
        if self._to_lose:
            return self._die(driver, name)
        try:
            report = next(steps)
        except StopIteration:
            del self._running[name]
            driver.finish(job, Cost(1.0, 0.0))
        except Exception as error:
            del self._running[name]
            driver.fail(job, failures.failure_of(error))
        else:
            reports = [report] if report else []
            self._seen += [(job, each) for each in reports]
            if not driver.take(job, reports, Cost(0.5, 0.0), "sim:1"):
                with suppress(KeyError):
                    self._running.pop(name).steps.close()  # type: ignore[attr-defined]

    def _die(self, driver: Driver, name: str) -> None:
        how, self._to_lose = self._to_lose, ""
        job, steps = self._running.pop(name)
        self.lost[name] = self.lost.get(name, 0) + 1
        self.world.saves = False
        steps.close()  # type: ignore[attr-defined]
        self.world.saves = True
        if how == "memory":
            driver.fail(job, failures.OutOfMemory("out of memory: simulated"))
        elif how == "silent":
            driver.fail(job, failures.Silent())
        else:
            driver.fail(job, failures.Lost())

    def _stop_workers(self, driver: Driver) -> None:
        """They save, and what they still say is heard by nobody."""
        self._close_all()

    def _close_all(self) -> None:
        for run in self._running.values():
            run.steps.close()  # type: ignore[attr-defined]
        self._running.clear()

    def _go_on(self) -> None:
        """Somebody looks, and has everything that is paused go on."""
        with closing(Reader(self.url)) as reader:
            sweep = reader.sweep("simulated")
            assert sweep is not None
            request(self.url, sweep.id, "resume", None)
            for trial in reader.trials(sweep.id):
                if trial.state == "paused" and trial.repeat_of is None:
                    request(self.url, sweep.id, "resume", trial.id)

    # --- what is written ------------------------------------------------------------------------
    def _nothing_was_written(self, error: StoreError) -> None:
        before, after = self._stolen, self.tables()
        self._stolen = None
        self._execute("UPDATE sweeps SET lease_holder = NULL, lease_until = NULL")
        if not isinstance(error, LeaseLost):
            return  # the database failed before the theft was seen
        if before != after:
            changed = [name for name in after if before is None or after[name] != before[name]]
            raise Violation(f"written under a lease that another holds: {changed}")

    def tables(self) -> dict[str, list[Any]]:
        """Every row of every table; what anyone may write to aside."""
        with closing(sqlite3.connect(str(sqlite_file(self.url)))) as database:
            names = [
                row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            ]
            return {
                name: sorted(map(repr, database.execute(f"SELECT * FROM {name}")))
                for name in names
                if name not in ("controls", "asks")
            }

    def _execute(self, statement: str) -> None:
        with closing(sqlite3.connect(str(sqlite_file(self.url)))) as database, database:
            database.execute(statement)

    @property
    def spec(self) -> SweepSpec:
        return self.scenario.spec
