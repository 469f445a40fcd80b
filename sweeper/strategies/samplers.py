"""How configurations are proposed: one class a sampler. Optuna is imported where one is made, not before.

A sampler is made anew for every proposal, from a seed, and what it knows is in the study alone: whatever
keeps a state of its own (a sequence, an evolution) would not survive a resume, and is not here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from sweeper.spec.space import Space

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler
    from optuna.storages import InMemoryStorage

MOST_SEEN = 400  # trials that TPE is fitted on: 25 ms of CPU a proposal with nine parameters
POPULATION = 20  # of NSGA-II; trials of a generation


class Sampler(ABC):
    listed: ClassVar[bool] = False  # proposes a list of points, and nothing after it
    learns: ClassVar[bool] = False  # from what has been tried

    @abstractmethod
    def make(self, seed: int) -> BaseSampler:
        """For one proposal."""

    def storage(self) -> InMemoryStorage:
        """Of the study."""
        from optuna.storages import InMemoryStorage

        return InMemoryStorage()

    def points(self, space: Space) -> Sequence[Mapping[str, Any]]:
        """Proposed in this order, after the spec's own points."""
        return ()

    def foreign(self) -> dict[str, Any]:
        """Optuna's attributes of a trial of another sweep, so that it is learned from."""
        return {}


class Tpe(Sampler):
    """Tree-structured Parzen estimator, multivariate, by groups of parameters that exist together."""

    learns = True

    def make(self, seed: int) -> BaseSampler:
        from optuna.samplers import TPESampler

        return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)

    def storage(self) -> InMemoryStorage:
        from sweeper.strategies.bounded_study import Window

        return Window(MOST_SEEN)


class Random(Sampler):
    def make(self, seed: int) -> BaseSampler:
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=seed)


class Grid(Random):
    listed = True

    def points(self, space: Space) -> Sequence[Mapping[str, Any]]:
        return list(space.points())


class Fixed(Random):
    """The spec's own points alone."""

    listed = True


class NsgaII(Sampler):
    """Deb et al. 2002. A trial's generation is one of Optuna's attributes, stored with the trial."""

    learns = True

    def make(self, seed: int) -> BaseSampler:
        from sweeper.strategies.evolution import Evolution

        return Evolution(seed=seed, population_size=POPULATION)

    def foreign(self) -> dict[str, Any]:
        from sweeper.strategies.evolution import Evolution

        return {Evolution._get_generation_key(): 0}


# The word in YAML -> the sampler. A new one is one class, one line here, and its word in spec.py.
SAMPLERS: Mapping[str, Sampler] = {
    "tpe": Tpe(),
    "random": Random(),
    "grid": Grid(),
    "fixed": Fixed(),
    "nsgaii": NsgaII(),
}
