"""What goes wrong? Each fault is a class: it is drawn where the undisturbed sweep's points are known, and
planted.

A new one is one class, and its name in a union at the foot. `changes_nothing`: a sweep of one slot with
such faults alone ends as the undisturbed one, in all its tables."""

import errno
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from tests.simulation.world import (
    ANYWHERE,
    BETWEEN,
    COMMITTED,
    FILE,
    FILED,
    IN_THE_DATABASE,
    STEP,
    TURN,
    fails,
    fails_with,
)

if TYPE_CHECKING:
    from tests.simulation.sweep import Sweep


class Kill(NamedTuple):
    """The driver dies: before, in or after a statement, a commit, a file's operation or a worker's step."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "Kill":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, ANYWHERE, sweep.world.kill)


class DatabaseError(NamedTuple):
    """A statement, or a commit, fails: for the driver's reads as for its writes."""

    at: int
    text: str
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "DatabaseError":
        texts = (
            "disk I/O error",
            "database is locked",
            "database or disk is full",
            "unable to open database file",
        )
        return cls(random.randint(1, points), random.choice(texts))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, IN_THE_DATABASE, fails(self.text))


class DiskFull(NamedTuple):
    """A file cannot be renamed or synced: no room is left."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "DiskFull":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, (FILE,), fails_with(errno.ENOSPC))


class ClockJump(NamedTuple):
    """The wall clock alone: a correction, or a summer that ends."""

    at: int
    seconds: float
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "ClockJump":
        return cls(random.randint(1, points), random.uniform(-3600, 3600))

    def plant(self, sweep: "Sweep") -> None:
        def jump() -> None:
            sweep.world.ahead += self.seconds

        sweep.world.strike(self, ANYWHERE, jump)


class Asleep(NamedTuple):
    """The driver is halted for longer than its lease, and nobody takes the sweep over."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "Asleep":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, ANYWHERE, lambda: sweep.world.sleep(100.0))


class Theft(NamedTuple):
    """Another driver takes the sweep over, between any two transactions; it writes nothing, and goes."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "Theft":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, BETWEEN, sweep.steal)


class TakenOver(NamedTuple):
    """The driver is halted; another one runs the sweep, to its end or its own fault; the first wakes up."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "TakenOver":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, (COMMITTED, TURN), sweep.take_over)


class SecondDriver(NamedTuple):
    """Somebody starts the sweep while it runs."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "SecondDriver":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, BETWEEN, sweep.second_driver)


class Control(NamedTuple):
    """Somebody asks for something. trial: counted from the first one that there is."""

    at: int
    verb: str
    trial: int | None
    changes_nothing = False

    @classmethod
    def draw(cls, random: Random, points: int) -> "Control":
        of_trial = random.random() < 0.6
        verbs = ("stop", "pause", "resume")
        said = (*verbs, "extend +2", "settle within=0.02 seeds=2")
        place = random.randint(0, 9) if of_trial else None
        return cls(random.randint(1, points), random.choice(verbs if of_trial else said), place)

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, BETWEEN, lambda: sweep.ask(self.verb, self.trial))


class WorkerLost(NamedTuple):
    """A worker dies: at a step, or around a checkpoint's rename. how: what its driver is told; late: it was
    silent, trained on, and is heard when another one has its job."""

    at: int
    how: str
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "WorkerLost":
        return cls(random.randint(1, points), random.choice(("lost", "lost", "silent", "late", "memory")))

    def plant(self, sweep: "Sweep") -> None:
        def lose() -> None:
            if sweep.workers is not None:
                sweep.workers.lose(self.how)

        sweep.world.strike(self, (STEP, FILE, FILED) if self.how == "lost" else (TURN,), lose)


class Doubled(NamedTuple):
    """A report comes twice; or once more when its job is another worker's."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "Doubled":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        def double() -> None:
            if sweep.workers is not None and sweep.driver is not None:
                sweep.workers.double(sweep.driver)

        sweep.world.strike(self, (TURN,), double)


class StageDamaged(NamedTuple):
    """A pretrain's checkpoint is deleted, cut, or has one bit that is another, while no driver runs."""

    driver: int  # before which
    how: str
    changes_nothing = False  # a pretrain is trained again, and costs

    @classmethod
    def draw(cls, random: Random, points: int) -> "StageDamaged":
        return cls(random.randint(2, 3), random.choice(("deleted", "cut", "flipped", "folder")))

    def plant(self, sweep: "Sweep") -> None:
        sweep.before(self, lambda: sweep.damage_a_stage(self.how))


class SpecChanged(NamedTuple):
    """Before a driver, what may change in a specification has."""

    driver: int
    what: str
    changes_nothing = False

    @classmethod
    def draw(cls, random: Random, points: int) -> "SpecChanged":
        return cls(random.randint(2, 3), random.choice(("grows", "unbounded", "keeps", "settles")))

    def plant(self, sweep: "Sweep") -> None:
        sweep.before(self, lambda: sweep.respecify(self._sections(sweep)))

    def _sections(self, sweep: "Sweep") -> dict[str, Any]:
        search = sweep.spec.search
        if self.what == "grows" and not search.strategy.only_points:
            return {"search": {**search.model_dump(mode="json"), "trials": search.trials + 2}}
        return {
            "unbounded": {"budget": None},
            "keeps": {"keep": {"best": 1, "last": "running"}},
            "settles": {"settle": {"within": 0.02, "seeds": 2}},
        }.get(self.what, {})


# --- what today's product does not promise: asked for by name ---------------------------------------------
class TrialDamaged(NamedTuple):
    """A trial's checkpoint is deleted, cut, emptied, or has one bit that is another, while no driver runs."""

    driver: int
    how: str
    changes_nothing = False

    @classmethod
    def draw(cls, random: Random, points: int) -> "TrialDamaged":
        return cls(random.randint(2, 3), random.choice(("deleted", "cut", "emptied", "flipped")))

    def plant(self, sweep: "Sweep") -> None:
        sweep.before(self, lambda: sweep.damage_a_trial(self.how))


class StoreOlder(NamedTuple):
    """The store is an older copy of itself, beside folders that are newer."""

    at: int
    driver: int
    changes_nothing = False

    @classmethod
    def draw(cls, random: Random, points: int) -> "StoreOlder":
        return cls(random.randint(1, points), random.randint(2, 3))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, BETWEEN, sweep.copy_store)
        sweep.before(self, sweep.put_back_store)


class FilesUnwritable(NamedTuple):
    """A file cannot be renamed or synced, for a reason that is not a full disk."""

    at: int
    number: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "FilesUnwritable":
        return cls(random.randint(1, points), random.choice((errno.EIO, errno.EROFS, errno.EACCES)))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, (FILE,), fails_with(self.number))


Fault = (
    Kill
    | DatabaseError
    | DiskFull
    | ClockJump
    | Asleep
    | Theft
    | TakenOver
    | SecondDriver
    | Control
    | WorkerLost
    | Doubled
    | StageDamaged
    | SpecChanged
)
NotPromised = TrialDamaged | StoreOlder | FilesUnwritable
FAULTS: tuple[type[Fault], ...] = get_args(Fault)
NOT_PROMISED: tuple[type[NotPromised], ...] = get_args(NotPromised)


def draw(seed: int, points: int, also: tuple[type[NotPromised], ...] = ()) -> list[Fault | NotPromised]:
    """Up to four of any kind; of every third sweep, kills alone. also: of kinds that are not promised,
    one."""
    random = Random(f"faults {seed}")
    kinds: tuple[type[Fault], ...] = (Kill,) if seed % 3 == 0 else FAULTS
    planned = [random.choice(kinds).draw(random, points) for _ in range(random.randint(1, 4))]
    return [*planned, *([random.choice(also).draw(random, points)] if also else [])]
