"""What goes wrong? Each fault is a class: it is drawn where the undisturbed sweep's points are known, and
planted.

A new one is one class, and its name in the union at the foot. `changes_nothing`: a sweep of one slot with
such faults alone ends as the undisturbed one, in all its tables."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, NamedTuple, get_args

from tests.simulation.world import database_error, kill

if TYPE_CHECKING:
    from tests.simulation.sweep import Sweep


# What SQLite says where a disk, or another process, is in the way.
TEXTS = (
    *("disk I/O error", "database is locked"),
    *("database or disk is full", "unable to open database file"),
)


class Kill(NamedTuple):
    """The driver dies, at any statement, commit or step of a worker."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "Kill":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strikes.setdefault(self.at, []).append(kill)


class DatabaseError(NamedTuple):
    """A statement, or a commit, fails."""

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
        sweep.world.strikes.setdefault(self.at, []).append(database_error(self.text))


class ClockJump(NamedTuple):
    """The wall clock alone: a correction, or a summer that ends."""

    at: int
    seconds: float
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "ClockJump":
        return cls(random.randint(1, points), random.uniform(-3600, 3600))

    def plant(self, sweep: "Sweep") -> None:
        def strike(_: str) -> None:
            sweep.world.ahead += self.seconds

        sweep.world.strikes.setdefault(self.at, []).append(strike)


class Asleep(NamedTuple):
    """The driver is halted for longer than its lease, and nobody takes the sweep over."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "Asleep":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strikes.setdefault(self.at, []).append(lambda _: sweep.world.sleep(100.0))


class Theft(NamedTuple):
    """Another driver takes the sweep over, between two transactions; it writes nothing, and goes."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "Theft":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.at_a_step(self.at, sweep.steal)


class SecondDriver(NamedTuple):
    """Somebody starts the sweep while it runs."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "SecondDriver":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.at_a_step(self.at, sweep.second_driver)


class Control(NamedTuple):
    """Somebody asks for something. trial: counted from the first one that there is."""

    at: int
    verb: str
    trial: int | None
    changes_nothing = False

    @classmethod
    def draw(cls, random: Random, points: int) -> "Control":
        of_trial = random.random() < 0.6
        verbs = ("stop", "pause", "resume") if of_trial else ("stop", "pause", "resume", "extend +2")
        return cls(
            random.randint(1, points), random.choice(verbs), random.randint(0, 9) if of_trial else None
        )

    def plant(self, sweep: "Sweep") -> None:
        sweep.at_a_step(self.at, lambda: sweep.ask(self.verb, self.trial))


class WorkerLost(NamedTuple):
    """The worker of a step dies in it: it saves nothing more. how: what its driver is told."""

    at: int
    how: str  # lost, silent, memory, failed report by a late one
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "WorkerLost":
        return cls(random.randint(1, points), random.choice(("lost", "silent", "memory")))

    def plant(self, sweep: "Sweep") -> None:
        sweep.at_a_step(self.at, lambda: sweep.lose(self.how))


class Doubled(NamedTuple):
    """A report comes twice; or once more when its job is another worker's."""

    at: int
    changes_nothing = True

    @classmethod
    def draw(cls, random: Random, points: int) -> "Doubled":
        return cls(random.randint(1, points))

    def plant(self, sweep: "Sweep") -> None:
        sweep.at_a_step(self.at, sweep.double)


class StageGone(NamedTuple):
    """A pretrain's checkpoint is deleted, cut, or has one bit that is another, while no driver runs."""

    driver: int  # before which
    how: str
    changes_nothing = False  # a pretrain is trained again, and costs

    @classmethod
    def draw(cls, random: Random, points: int) -> "StageGone":
        return cls(random.randint(2, 3), random.choice(("deleted", "cut", "flipped", "folder")))

    def plant(self, sweep: "Sweep") -> None:
        sweep.between[self.driver] = lambda: sweep.damage_a_stage(self.how)


Fault = (
    Kill
    | DatabaseError
    | ClockJump
    | Asleep
    | Theft
    | SecondDriver
    | Control
    | WorkerLost
    | Doubled
    | StageGone
)
FAULTS: tuple[type[Fault], ...] = get_args(Fault)
Strike = Callable[[str], None]


def draw(seed: int, points: int) -> list[Fault]:
    """Up to four of any kind; of every third sweep, kills alone."""
    random = Random(f"faults {seed}")
    kinds: tuple[type[Fault], ...] = (Kill,) if seed % 3 == 0 else FAULTS
    return [random.choice(kinds).draw(random, points) for _ in range(random.randint(1, 4))]
