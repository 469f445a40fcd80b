"""One simulated sweep: drivers one after another, each with its workers, on one thread, to its end."""

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from sweeper.driver.driver import EXHAUSTED, Driver, DriverSettings
from sweeper.driver.lease import LEASE, HeldSweep, lease, new_holder
from sweeper.driver.spending import SPENT, Allowance
from sweeper.driver.stop_reason import StopReason
from sweeper.execution.registration import register
from sweeper.files.stage_cache import SEAL
from sweeper.spec.spec import SweepSpec
from sweeper.store.controls import request
from sweeper.store.engine import LeaseLost, StoreError, sqlite_file
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.simulation import trainer
from tests.simulation.scenario import Scenario
from tests.simulation.workers import Workers, take_turns
from tests.simulation.world import TURN, Killed, World
from tests.sweeper.driving import Silent

DRIVERS, TURNS = 40, 5000  # more is a hang
IDLE = 30  # turns without a job, after which somebody has what is paused go on
ELSEWHERE = "elsewhere:1#00000000"  # a driver of another machine


class Violation(AssertionError):
    """What a sweep must never do. kind: lost, doubled, repeated, wrong or hung."""

    def __init__(self, kind: str, text: str):
        super().__init__(text)
        self.kind = kind


class Early(Protocol):
    """A fault: before which driver it is to strike, or later."""

    @property
    def driver(self) -> int: ...


class Sweep:
    def __init__(self, scenario: Scenario, place: Path):
        self.scenario, self.place, self.spec = scenario, place, scenario.spec
        self.url, self.files = f"sqlite:///{place}/sweeps.db", place / "files"
        self.world = World(scenario.seed, place)
        self._between: dict[int, list[Callable[[], None]]] = {}
        self.endings: list[str] = []  # of each driver
        self.lost: dict[str, int] = {}  # by the job's name: how often its worker died
        self.spent: dict[str, float] = {}  # by the job's name: CPU seconds of its workers
        self.damaged: set[str] = set()  # stages
        self.asked_for: list[tuple[str, int | None]] = []
        self.ran = 0.0  # seconds, of all drivers
        self.workers: Workers | None = None
        self.driver: Driver | None = None
        self._stolen: dict[str, list[Any]] | None = None  # the tables, as they were when it was
        self._holders = 0

    # --- from the first driver to the last ------------------------------------------------------
    def run(self) -> "Sweep":
        self.place.mkdir(exist_ok=True)
        trainer.world = self.world
        with self.world.entered():
            for number in range(1, DRIVERS + 1):
                over = self.endings[-1:] in (["ended"], ["budget"])
                if number in self._between or (over and self._between):
                    for act in self._between.pop(number if number in self._between else min(self._between)):
                        act()
                elif over:
                    return self
                self.endings.append(self._one_driver())
        raise Violation("hung", f"it does not end: {self.endings[-5:]}")

    def _one_driver(self) -> str:
        """How it ends. Another one's memory, where this driver runs while that one sleeps, is left alone."""
        earlier, before, began = self.world.alive(), (self.driver, self.workers), self.world.now
        self.workers, self.driver = Workers(self.world, self.lost, self.spent), None
        try:
            ending = self._drive(self.workers)
        except Killed:
            ending = "killed"
        except LeaseLost:
            ending = "stolen"
        except StoreError:
            ending = "store"
        finally:
            self.world.saves = not self.world.dead and self.world.random.random() < 0.7
            self.workers.close()
            self.world.saves = True
            self.world.bury(earlier)
            self.driver, self.workers = before
            self.ran += self.world.now - began
        if self._stolen is not None:
            self._nothing_was_written()
        elif ending == "stolen":  # by one that was killed since: its lease runs out
            self.world.sleep(LEASE + 1)
        return ending

    def _drive(self, workers: Workers) -> str:
        world, slots = self.world, self.scenario.slots
        with (
            closing(Store(self.url, world.clock, factory=world.factory)) as store,
            closing(Reader(self.url, factory=world.factory)) as reader,
        ):
            known = register(self.spec, self.files, store, reader, lambda _: None)
            if known.ended and not known.changed:
                return "ended"
            with lease(store, known.record, holder=self._holder()) as holder:
                held = HeldSweep(known.spec, known.record, reader, store.writer(known.record.id, holder))
                known.write(held.writer)
                if known.ended:
                    return "ended"
                logs = Path(known.record.folder, "trials", str(known.record.id))
                logs.mkdir(parents=True, exist_ok=True)  # as the runner does
                settings = DriverSettings(slots, poll_seconds=0.0, clock=world.clock)
                self.driver = driver = Driver(held, Silent(), settings, Allowance(known.spec.budget))
                try:
                    while not driver.end():
                        self._to_its_end(driver, workers)
                        if driver.stop_reason is not None:
                            break
                except (StoreError, Violation):
                    raise
                except Exception as error:  # Tune ends the run: the runner says what it was, and how to go on
                    # What another driver has written meanwhile, this one does not know; nor may it write.
                    if not isinstance(error, OSError) and self._stolen is None:
                        raise
                    driver.stop(StopReason(f"internal error: {error!r}", 1))
                if (stopped := driver.stop_reason) is not None:
                    driver.interrupt(stopped.reason)
                    if not stopped.reason:
                        raise Violation("wrong", "it stopped without a reason")
                    return "budget" if stopped.code == SPENT else f"stopped: {stopped.reason}"
                return "ended"

    def _holder(self) -> str:
        """Now and then of another machine: whether it is dead, nobody knows."""
        self._holders += 1
        there = self.world.random.random() < 0.1
        return f"{ELSEWHERE}{self._holders}" if there else new_holder(f"{self._holders:08x}")

    def _to_its_end(self, driver: Driver, workers: Workers) -> None:
        """As Tune's loop does: a look round, jobs for free slots, one step of each worker."""
        idle = 0
        for _ in range(TURNS):
            self.world.now += 0.01
            self.world.point(TURN)
            if not driver.poll():
                return workers.close()
            if not take_turns(workers, driver, self.scenario.slots, EXHAUSTED):
                return None
            if not len(workers) and driver.stop_reason is not None:
                return None
            idle = 0 if len(workers) else idle + 1
            if idle > IDLE:
                self._go_on()
                idle = 0
            workers.turn(driver)
        raise Violation("hung", f"no end after {TURNS} turns")

    # --- what faults do -----------------------------------------------------------------------
    def steal(self) -> None:
        """Another driver takes the sweep over, writes nothing, and goes."""
        if self._stolen is None and self.driver is not None:
            self._execute(f"UPDATE sweeps SET lease_holder = '{ELSEWHERE}', lease_until = 9e12")
            self._stolen = self.tables()

    def take_over(self) -> None:
        """The driver is halted, its workers are gone, and another one runs the sweep meanwhile: unless the
        halted one stands in a transaction, which nobody can begin another beside."""
        if self._stolen is not None or self.driver is None or self.workers is None:
            return
        self.workers.vanish()
        self.world.sleep(LEASE + 40)
        holder = self._lease()
        self.endings.append(f"meanwhile: {self._one_driver()}")
        if self._stolen is None and self._lease() != holder:
            self._stolen = self.tables()

    def second_driver(self) -> None:
        """Somebody starts the sweep while it runs: that is refused."""
        if self._stolen is not None or self.driver is None:
            return
        with closing(Store(self.url, self.world.clock)) as store, closing(Reader(self.url)) as reader:
            sweep = reader.sweep(self.spec.name)
            if sweep is None or self.world.clock.wall() >= (sweep.lease_until or 0.0):
                return
            # One of another machine: this process's own drivers are known to be dead, or not, by their pid.
            try:
                store.take_lease(sweep.id, ELSEWHERE, LEASE)
            except StoreError:
                return
        raise Violation("wrong", "two drivers hold one lease")

    def ask(self, verb: str, place: int | None) -> None:
        """place: of the trial, among those that there are."""
        if not (self.place / "sweeps.db").is_file():
            return
        with closing(sqlite3.connect(self.place / "sweeps.db")) as database:
            there = database.execute("SELECT id FROM sweeps WHERE name = ?", (self.spec.name,)).fetchone()
            mine = "SELECT id FROM trials WHERE sweep = ? ORDER BY id"
            trials = [row[0] for row in database.execute(mine, there)] if there else []
        if there is None or (place is not None and place >= len(trials)):
            return
        trial = None if place is None else trials[place]
        self.asked_for.append((verb, trial))
        request(self.url, there[0], verb, trial, self.world.clock)

    def damage_a_stage(self, how: str) -> None:
        """Of those that are finished."""
        self._damage(sorted((self.files / "stages").glob(f"*/{SEAL}")), how)

    def damage_a_trial(self, how: str) -> None:
        self._damage(sorted((self.files / "trials").glob(f"*/*/{trainer.LAST}")), how)

    def _damage(self, found: list[Path], how: str) -> None:
        if found:
            folder = self.world.random.choice(found).parent
            self.damaged.add(folder.name)
            if (folder / trainer.LAST).is_file():
                damage(folder / trainer.LAST, how)

    def copy_store(self) -> None:
        with (
            closing(sqlite3.connect(self.place / "sweeps.db")) as now,
            closing(sqlite3.connect(self.place / "older.db")) as older,
        ):
            now.backup(older)

    def put_back_store(self) -> None:
        if (self.place / "older.db").is_file():
            for end in ("-wal", "-shm"):
                (self.place / f"sweeps.db{end}").unlink(missing_ok=True)
            shutil.copy(self.place / "older.db", self.place / "sweeps.db")

    def respecify(self, sections: Mapping[str, Any]) -> None:
        """What may change between run and resume has changed."""
        self.spec = SweepSpec.from_resolved({**self.spec.resolved(), **sections}, self.spec.text)

    def before(self, fault: "Early", act: Callable[[], None]) -> None:
        def strike() -> None:
            self.world.struck.append(type(fault).__name__)
            act()

        self._between.setdefault(fault.driver, []).append(strike)

    def _go_on(self) -> None:
        """Somebody looks, and has everything that is paused go on."""
        with closing(Reader(self.url)) as reader:
            sweep = reader.sweep(self.spec.name)
            assert sweep is not None
            request(self.url, sweep.id, "resume", None, self.world.clock)
            for trial in reader.trials(sweep.id):
                if trial.state == "paused" and trial.repeat_of is None:
                    request(self.url, sweep.id, "resume", trial.id, self.world.clock)

    # --- what is written ------------------------------------------------------------------------
    def _nothing_was_written(self) -> None:
        before, after = self._stolen, self.tables()
        self._stolen = None
        self._execute("UPDATE sweeps SET lease_holder = NULL, lease_until = NULL")
        if before != after:
            changed = [name for name in after if before is None or after[name] != before[name]]
            raise Violation("wrong", f"written under a lease that another holds: {changed}")

    def tables(self) -> dict[str, list[Any]]:
        """Every row of every table; what anyone may write to aside."""
        with closing(sqlite3.connect(str(sqlite_file(self.url)))) as database:
            found = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            names = [row[0] for row in found]
            return {
                name: sorted(map(repr, database.execute(f"SELECT * FROM {name}")))
                for name in names
                if name not in ("controls", "asks")
            }

    def _lease(self) -> list[Any]:
        with closing(sqlite3.connect(str(sqlite_file(self.url)))) as database:
            return database.execute("SELECT lease_holder FROM sweeps").fetchall()

    def _execute(self, statement: str) -> None:
        with closing(sqlite3.connect(str(sqlite_file(self.url)))) as database, database:
            database.execute(statement)


def damage(file: Path, how: str) -> None:
    """deleted, cut, flipped: one bit; emptied; or the whole folder gone."""
    if how == "folder":
        shutil.rmtree(file.parent)
    elif how == "deleted":
        file.unlink()
    else:
        whole = file.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes({"cut": whole[:middle], "emptied": b"", "flipped": flipped}[how])
