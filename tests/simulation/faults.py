"""What goes wrong? Each fault is a class: it is drawn where the undisturbed sweep's points are known, and
planted.

A new one is one class, and its name in a union at the foot. `changes_nothing`: a sweep of one slot with
such faults alone ends as the undisturbed one, in all its tables."""

import errno
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, get_args

from tests.simulation.world import (
    ANYWHERE,
    BETWEEN,
    COMMITTED,
    FILE,
    FILED,
    IN_THE_DATABASE,
    STEP,
    TURN,
    World,
    fails,
    fails_with,
)

if TYPE_CHECKING:
    from tests.simulation.sweep import Sweep


@dataclass(frozen=True)
class AtAPoint:
    """Abstract. at: the point from which on it strikes, where it may."""

    at: int
    changes_nothing: ClassVar[bool] = True

    @classmethod
    def draw(cls, random: Random, world: World) -> Self:
        return cls(world.some_point(random))


class Kill(AtAPoint):
    """The driver dies: before, in or after a statement, a commit, a file's operation or a worker's step."""

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, ANYWHERE, sweep.world.kill)


@dataclass(frozen=True)
class DatabaseError(AtAPoint):
    """A statement, or a commit, fails: for the driver's reads as for its writes."""

    text: str

    @classmethod
    def draw(cls, random: Random, world: World) -> "DatabaseError":
        texts = (
            "disk I/O error",
            "database is locked",
            "database or disk is full",
            "unable to open database file",
        )
        return cls(world.some_point(random), random.choice(texts))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, IN_THE_DATABASE, fails(self.text))


class DiskFull(AtAPoint):
    """A file cannot be renamed or synced: no room is left."""

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, (FILE,), fails_with(errno.ENOSPC))


@dataclass(frozen=True)
class FilesUnwritable(AtAPoint):
    """A file cannot be renamed or synced, for a reason that is not a full disk."""

    number: int

    @classmethod
    def draw(cls, random: Random, world: World) -> "FilesUnwritable":
        return cls(world.some_point(random), random.choice((errno.EIO, errno.EROFS, errno.EACCES)))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, (FILE,), fails_with(self.number))


@dataclass(frozen=True)
class ClockJump(AtAPoint):
    """The wall clock alone: a correction, or a summer that ends."""

    seconds: float

    @classmethod
    def draw(cls, random: Random, world: World) -> "ClockJump":
        return cls(world.some_point(random), random.uniform(-3600, 3600))

    def plant(self, sweep: "Sweep") -> None:
        def jump() -> None:
            sweep.world.ahead += self.seconds

        sweep.world.strike(self, ANYWHERE, jump)


class Asleep(AtAPoint):
    """The driver is halted for longer than its lease, and nobody takes the sweep over."""

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, ANYWHERE, lambda: sweep.world.sleep(100.0))


class Theft(AtAPoint):
    """Another driver takes the sweep over, between any two transactions; it writes nothing, and goes."""

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, BETWEEN, sweep.steal)


class TakenOver(AtAPoint):
    """The driver is halted; another one runs the sweep, to its end or its own fault; the first wakes up."""

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, (COMMITTED, TURN), sweep.take_over)


class SecondDriver(AtAPoint):
    """Somebody starts the sweep while it runs."""

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, BETWEEN, sweep.second_driver)


@dataclass(frozen=True)
class Control(AtAPoint):
    """Somebody asks for something. trial: counted from the first one that there is."""

    verb: str
    trial: int | None
    changes_nothing: ClassVar[bool] = False

    @classmethod
    def draw(cls, random: Random, world: World) -> "Control":
        of_trial = random.random() < 0.4
        verbs = ("stop", "pause", "resume")
        said = (*verbs, *("extend +2", "extend +1") * 2, "settle within=0.02 seeds=2")
        place = random.randint(0, 9) if of_trial else None
        return cls(world.some_point(random), random.choice(verbs if of_trial else said), place)

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, BETWEEN, lambda: sweep.ask(self.verb, self.trial))


@dataclass(frozen=True)
class WorkerLost(AtAPoint):
    """A worker dies: at a step, or around a checkpoint's rename. how: what its driver is told; late: it was
    silent, trained on, and is heard when another one has its job."""

    how: str

    @classmethod
    def draw(cls, random: Random, world: World) -> "WorkerLost":
        return cls(
            world.some_point(random), random.choice(("lost", "lost", "late", "late", "silent", "memory"))
        )

    def plant(self, sweep: "Sweep") -> None:
        def lose() -> bool:
            return sweep.workers is not None and sweep.workers.lose(self.how)

        sweep.world.strike(self, (STEP, FILE, FILED) if self.how == "lost" else (TURN,), lose)


@dataclass(frozen=True)
class Unready(AtAPoint):
    """Workers are never made ready. times: so many, one after another."""

    times: int

    @classmethod
    def draw(cls, random: Random, world: World) -> "Unready":
        return cls(world.some_point(random), random.choice((1, 2, 3)))

    def plant(self, sweep: "Sweep") -> None:
        def wait() -> bool:
            there = sweep.workers is not None
            if there:
                sweep.workers.unready += self.times  # type: ignore[union-attr]
            return there

        sweep.world.strike(self, (TURN,), wait)


class Doubled(AtAPoint):
    """What a worker said, a report or its end, comes twice; or once more when its job is another worker's."""

    def plant(self, sweep: "Sweep") -> None:
        def double() -> bool:
            there = sweep.workers is not None and sweep.driver is not None
            return there and sweep.workers.double(sweep.driver)  # type: ignore[union-attr, arg-type]

        sweep.world.strike(self, (TURN,), double)


@dataclass(frozen=True)
class StageDamaged(AtAPoint):
    """With its driver a finished pretrain's checkpoint is gone: deleted, cut, an older one, or one bit is
    another."""

    how: str
    changes_nothing: ClassVar[bool] = False  # a pretrain is trained again, and costs

    @classmethod
    def draw(cls, random: Random, world: World) -> "StageDamaged":
        how = random.choice(("deleted", "cut", "flipped", "folder", "older", "older"))
        return cls(world.some_point(random), how)

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, (STEP, TURN), lambda: sweep.crash("stages/*", self.how))


class SpecChanged(NamedTuple):
    """Before a driver, what may change in a specification has."""

    driver: int
    what: str
    changes_nothing = False

    @classmethod
    def draw(cls, random: Random, world: World) -> "SpecChanged":
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


Fault = (
    Kill
    | DatabaseError
    | DiskFull
    | FilesUnwritable
    | ClockJump
    | Asleep
    | Theft
    | TakenOver
    | SecondDriver
    | Control
    | WorkerLost
    | Unready
    | Doubled
    | StageDamaged
    | SpecChanged
)
FAULTS: tuple[type[Fault], ...] = get_args(Fault)
