"""One simulated sweep: drivers one after another, each with its workers, on one thread, to its end."""

from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from sweeper.driver.driver import EXHAUSTED, Driver, DriverSettings
from sweeper.driver.lease import LEASE, HeldSweep, lease, new_holder
from sweeper.driver.spending import SPENT, Allowance
from sweeper.driver.stop_reason import StopReason
from sweeper.execution.registration import register
from sweeper.spec.spec import SweepSpec
from sweeper.store.controls import request
from sweeper.store.engine import LeaseLost, StoreError
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.simulation import tables, trainer
from tests.simulation.damage import checkpoints, damage, heed, put_back, to_be_scored
from tests.simulation.memory import forgets
from tests.simulation.scenario import Scenario
from tests.simulation.workers import Workers, take_turns
from tests.simulation.world import TURN, Killed, World
from tests.sweeper.driving import Silent

HERE = "name = 'simulated'"  # of the sweeps in its store
FOR_EVER = "lease_until = 9e12"
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
        self.store = place / "sweeps.db"
        self.world = World(scenario.seed, place)
        self._between: dict[int, list[Callable[[], None]]] = {}
        self._once_it_is_dead: list[Callable[[], None]] = []
        self.endings: list[str] = []  # of each driver
        self.lost: dict[str, int] = {}  # by the job's name: how often its worker died
        self.spent: dict[str, float] = {}  # by the job's name: CPU seconds of its workers
        self.damaged: set[str] = set()  # stages and trials, by their folders' names
        self.asked_for: list[tuple[str, int | None]] = []
        self.ran = 0.0  # seconds, of all drivers
        self.workers: Workers | None = None
        self.driver: Driver | None = None
        self._leads = False  # a driver has the lease
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
                while self._once_it_is_dead:
                    self._once_it_is_dead.pop()()
                self.endings.append(self._one_driver())
                heed(self.endings[-1])
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
        except OSError:  # around the loop: the runner says which file, and how to go on
            ending = "files"
        finally:
            led, self._leads = self._leads, before[0] is not None
            self.world.saves = not self.world.dead and self.world.random.random() < 0.7
            try:
                self.workers.close()
            except Killed:  # while its workers save
                ending = "killed"
                self.workers.close()
            self.world.saves = True
            self.world.bury(earlier)
            self.driver, self.workers = before
            self.ran += self.world.now - began
        if self._stolen is not None:
            self._nothing_was_written()
            return ending
        if led:
            self._what_stands_is_sound()
        if ending == "stolen":  # by one that was killed since: its lease runs out
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
                self._leads = True
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
                if forgotten := forgets(driver, held):
                    raise Violation("wrong", f"its next driver would not know the same: {forgotten}")
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
    def steal(self) -> bool:
        """Another driver takes the sweep over, writes nothing, and goes. False: nobody has it."""
        if self._stolen is not None or not self._leads:
            return False
        tables.execute(self.store, f"UPDATE sweeps SET lease_holder = '{ELSEWHERE}', {FOR_EVER} WHERE {HERE}")
        self._stolen = self.tables()
        return True

    def take_over(self) -> bool:
        """The driver is halted, its workers are gone, and another one runs the sweep meanwhile: unless the
        halted one stands in a transaction, which nobody can begin another beside."""
        if self._stolen is not None or self.driver is None or self.workers is None:
            return False
        self.workers.vanish()
        self.world.sleep(LEASE + 40)
        holder = tables.holders(self.store)
        self.endings.append(f"meanwhile: {self._one_driver()}")
        if self._stolen is None and tables.holders(self.store) != holder:
            self._stolen = self.tables()
        return True

    def second_driver(self) -> bool:
        """Somebody starts the sweep while it runs: that is refused."""
        if self._stolen is not None or not self._leads:
            return False
        with closing(Store(self.url, self.world.clock)) as store, closing(Reader(self.url)) as reader:
            sweep = reader.sweep(self.spec.name)
            if sweep is None or self.world.clock.wall() >= (sweep.lease_until or 0.0):
                return False
            # One of another machine: this process's own drivers are known to be dead, or not, by their pid.
            try:
                store.take_lease(sweep.id, ELSEWHERE, LEASE)
            except StoreError:
                return True
        raise Violation("wrong", "two drivers hold one lease")

    def ask(self, verb: str, place: int | None) -> bool:
        """place: of the trial, counted on from the last to the first. False: there is none yet."""
        if not self._leads:
            return False
        there = tables.rows(self.store, "SELECT id FROM sweeps WHERE name = ?", self.spec.name)
        trials = tables.rows(self.store, "SELECT id FROM trials WHERE sweep = ? ORDER BY id", *there[0])
        if place is not None and not trials:
            return False
        trial = None if place is None else trials[place % len(trials)][0]
        self.asked_for.append((verb, trial))
        request(self.url, there[0][0], verb, trial, self.world.clock)
        return True

    def crash(self, folders: str, how: str, name: str = trainer.LAST, *, again: bool = False) -> bool:
        """The driver dies, and with it a checkpoint of that name: of a finished stage, or of a trial. False:
        there is none. again: rather of one that was damaged before; or whose best a race will ask for."""
        found = checkpoints(self.files, folders, name, whole=again)
        if not found or not self._leads:
            return False
        before = [file for file in found if again and file.parent.name in self.damaged]
        raced = to_be_scored(found, self.store, self.spec) if name == trainer.BEST else []
        file = self.world.random.choice(before or raced or found)
        self.damaged.add(file.parent.name)
        self._once_it_is_dead.append(lambda: damage(file, how))
        self.world.kill()
        return True

    def copy_store(self) -> bool:
        """False: there is nothing in it yet."""
        if self._leads:
            tables.copy(self.store, self.place / "older.db")
        return self._leads

    def put_back_store(self) -> None:
        if (older := self.place / "older.db").is_file():
            put_back(older, self.store, self.files)

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
        # Who asked for the lease was refused, and gave it an end that a lease can have.
        tables.execute(self.store, f"UPDATE sweeps SET {FOR_EVER} WHERE lease_holder = '{ELSEWHERE}'")
        before, after = self._stolen, self.tables()
        self._stolen = None
        tables.execute(self.store, f"UPDATE sweeps SET lease_holder = NULL, lease_until = NULL WHERE {HERE}")
        if before != after:
            changed = [name for name in after if before is None or after[name] != before[name]]
            raise Violation("wrong", f"written under a lease that another holds: {changed}")

    def _what_stands_is_sound(self) -> None:
        """However a driver has ended: what is decided of a trial is in the store at once, or not at all."""
        half = "SELECT trial_number, state, reason FROM trials WHERE reason != '' AND state NOT IN (?, ?)"
        for number, state, reason in tables.rows(self.store, half, "pruned", "stopped"):
            raise Violation("wrong", f"trial {number} is {state}, and was ended by this: {reason}")

    def tables(self) -> dict[str, list[Any]]:
        return tables.tables(self.store)
