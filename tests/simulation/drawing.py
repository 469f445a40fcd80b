"""Which faults are drawn? Of all kinds; asked for by name, of kinds that are not promised to be borne."""

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, ClassVar, get_args

from tests.simulation.faults import FAULTS, AtAPoint, Fault, Kill
from tests.simulation.world import BETWEEN, STEP, TURN, World

if TYPE_CHECKING:
    from tests.simulation.sweep import Sweep


@dataclass(frozen=True)
class TrialDamaged(AtAPoint):
    """With its driver a trial's checkpoint is gone: deleted, cut, emptied, or one bit is another."""

    how: str

    @classmethod
    def draw(cls, random: Random, world: World) -> "TrialDamaged":
        return cls(world.some_point(random), random.choice(("deleted", "cut", "emptied", "flipped")))

    def plant(self, sweep: "Sweep") -> None:
        sweep.world.strike(self, (STEP, TURN), lambda: sweep.crash("trials/*/*", self.how))


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


NotPromised = TrialDamaged | StoreOlder
NOT_PROMISED: tuple[type[NotPromised], ...] = get_args(NotPromised)


def draw(seed: int, world: World, also: tuple[type[NotPromised], ...] = ()) -> list[Fault | NotPromised]:
    """Two to five of any kind; of every third sweep, kills alone. also: of kinds that are not promised, one.

    world: of the undisturbed sweep."""
    random = Random(f"faults {seed}")
    kinds: tuple[type[Fault], ...] = (Kill,) if seed % 3 == 0 else FAULTS
    planned = [random.choice(kinds).draw(random, world) for _ in range(random.randint(2, 5))]
    return [*planned, *([random.choice(also).draw(random, world)] if also else [])]
