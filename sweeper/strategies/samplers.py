"""How are configurations proposed? One class a sampler: its settings, and what it makes of Optuna.

A sampler is made anew for every proposal, from a seed, and what it knows is in the study alone: whatever
keeps a state of its own (a sequence, an evolution) would not survive a resume, and is not here. Optuna is
imported where one is made, not before. A new one is one class here and its name in SAMPLERS at the foot.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sweeper.strategies.shown import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.storages import InMemoryStorage

MOST_GRID_POINTS = 10_000


class Sampler(ABC):
    name: ClassVar[str]  # the word in YAML
    learns: ClassVar[bool] = False  # from what has been tried
    lists: ClassVar[bool] = False  # proposes a list, and nothing after it: it has a length
    only_points: ClassVar[bool] = False  # proposes the spec's own points alone
    weighs_errors: ClassVar[bool] = False  # asks by how much each document misses

    @abstractmethod
    def make(self, seed: int, space: Space) -> "BaseSampler":
        """For one proposal."""

    def storage(self) -> "InMemoryStorage":
        """Of the study."""
        from optuna.storages import InMemoryStorage

        return InMemoryStorage()

    def length(self, space: Space) -> int | None:
        """How many it proposes after the spec's own points; None: as many as are asked for."""
        return None

    def points(self, space: Space) -> Sequence[Mapping[str, Any]]:
        """Proposed in this order, after the spec's own points."""
        return ()

    def unfit(self, space: Space) -> str:
        """'' where it can search the space; else why not, in a sentence."""
        return ""

    def foreign(self) -> dict[str, Any]:
        """Optuna's attributes of a trial of another sweep, so that it is learned from."""
        return {}


@dataclass(frozen=True)
class Tpe(Sampler):
    """Tree-structured Parzen estimator, multivariate, by groups of parameters that exist together."""

    name = "tpe"
    learns = True
    most_seen: int = 400  # trials that it is fitted on: 25 ms of CPU a proposal with nine parameters
    startup: int = 10  # random ones

    def make(self, seed: int, space: Space) -> "BaseSampler":
        from optuna.samplers import TPESampler

        return TPESampler(
            n_startup_trials=self.startup, seed=seed, multivariate=True, group=True, constant_liar=True
        )

    def storage(self) -> "InMemoryStorage":
        from sweeper.strategies.bounded_study import BoundedStudy

        return BoundedStudy(self.most_seen)


@dataclass(frozen=True)
class Random(Sampler):
    name = "random"

    def make(self, seed: int, space: Space) -> "BaseSampler":
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


@dataclass(frozen=True)
class Grid(Random):
    """Every point of a space without a continuum."""

    name = "grid"
    lists = True

    def length(self, space: Space) -> int:
        return space.size() or 0

    def points(self, space: Space) -> Sequence[Mapping[str, Any]]:
        return list(space.points())

    def unfit(self, space: Space) -> str:
        if continuous := ", ".join(space.continuous()):
            return f"no grid over a continuous range: {continuous}"
        size = space.size()
        if size is not None and size <= MOST_GRID_POINTS:
            return ""
        points = "too many points to count" if size is None else f"{size:,} points"
        return f"a grid of {points}; use tpe or random above {MOST_GRID_POINTS:,}"


@dataclass(frozen=True)
class Fixed(Random):
    """The spec's own points alone."""

    name = "fixed"
    lists = True
    only_points = True

    def length(self, space: Space) -> int:
        return 0


@dataclass(frozen=True)
class NsgaII(Sampler):
    """Deb et al. 2002. A trial's generation is one of Optuna's attributes, stored with the trial."""

    name = "nsgaii"
    learns = True
    population: int = 20  # trials of a generation

    def make(self, seed: int, space: Space) -> "BaseSampler":
        from sweeper.strategies.evolution import Evolution

        return Evolution(seed=seed, population_size=self.population)

    def foreign(self) -> dict[str, Any]:
        from sweeper.strategies.evolution import Evolution
        from sweeper.strategies.optuna_private import generation_key

        return {generation_key(Evolution): 0}


@dataclass(frozen=True)
class Gp(Sampler):
    """A Gaussian process, to which a trial's own error is the noise of its value."""

    name = "gp"
    learns = True
    weighs_errors = True
    most_seen: int = 100  # trials that it is fitted on
    startup: int = 10  # random ones
    even: int = 2048  # points among which a search for the most promising begins, as in Optuna

    def make(self, seed: int, space: Space) -> "BaseSampler":
        from sweeper.strategies.gaussian_process import GaussianProcess

        return GaussianProcess(seed, space, self.startup, self.even)

    def storage(self) -> "InMemoryStorage":
        from sweeper.strategies.bounded_study import BoundedStudy

        return BoundedStudy(self.most_seen)


# By the word in YAML.
SAMPLERS: Mapping[str, Sampler] = {
    each.name: each for each in (Tpe(), Random(), Grid(), Fixed(), NsgaII(), Gp())
}
