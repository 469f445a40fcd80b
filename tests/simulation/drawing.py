"""Which faults are drawn? Of all kinds; of each tenth sweep, one more that it need not end after as the
undisturbed one."""

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, ClassVar, get_args

from tests.simulation.faults import FAULTS, AtAPoint, Fault, Kill
from tests.simulation.trainer import BEST, LAST
from tests.simulation.world import BETWEEN, STEP, TURN, World

if TYPE_CHECKING:
    from tests.simulation.sweep import Sweep

SOON = 50  # points, after which a checkpoint is damaged once more
TENTH = 7  # of ten seeds this one


@dataclass(frozen=True)
class TrialDamaged(AtAPoint):
    """With its driver a trial's checkpoint is gone, or its whole folder: deleted, cut, emptied, an older one,
    or one bit is another. more: so often once more, of the same trial if it has one again. file: which, of a
    trial that has ended or runs."""

    how: str
    more: int
    file: str = LAST

    @classmethod
    def draw(cls, random: Random, world: World) -> "TrialDamaged":
        how = random.choice(("deleted", "cut", "emptied", "flipped", "older", "folder"))
        file = random.choice((LAST, BEST))
        return cls(world.some_point(random), how, random.choice((0, 0, 1, 3)), file)

    def plant(self, sweep: "Sweep") -> None:
        def act() -> bool:
            return sweep.crash("trials/*/*", self.how, self.file, again=True)

        for time in range(1 + self.more):
            sweep.world.strike(replace(self, at=self.at + time * SOON), (STEP, TURN), act)


@dataclass(frozen=True)
class StoreOlder(AtAPoint):
    """The store is an older copy of itself, beside folders that are newer."""

    driver: int
    changes_nothing: ClassVar[bool] = False

    @classmethod
    def draw(cls, random: Random, world: World) -> "StoreOlder":
        return cls(world.some_point(random), random.randint(2, 3))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, BETWEEN, sweep.copy_store)
        sweep.before(self, sweep.put_back_store)


Damage = TrialDamaged | StoreOlder
DAMAGES: tuple[type[Damage], ...] = get_args(Damage)


def draw(seed: int, world: World, also: tuple[type[Damage], ...] = ()) -> list[Fault | Damage]:
    """Two to five of any kind; of every third sweep, kills alone. also: one of these kinds, whatever the
    seed.

    world: of the undisturbed sweep."""
    random = Random(f"faults {seed}")
    kinds: tuple[type[Fault], ...] = (Kill,) if seed % 3 == 0 else FAULTS
    planned = [random.choice(kinds).draw(random, world) for _ in range(random.randint(2, 5))]
    damages = also or (DAMAGES if seed % 10 == TENTH else ())
    return [*planned, *([random.choice(damages).draw(random, world)] if damages else [])]
