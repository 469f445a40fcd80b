"""What a sweep varies: dimensions, and the space they make. No torch, no optuna: a trial is what suggests.

A dimension with `when` exists only where another key has one of the values said; a condition on a key
outside the space is about a fixed value, checked with the spec, and always holds here.
"""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import islice, product
from types import MappingProxyType
from typing import Annotated, Any, Protocol

from pydantic import BeforeValidator, ConfigDict, Field, FiniteFloat, StrictInt, model_validator

from sweeper.spec.constraints import Constraint
from trainer.values import Scalar, Settings

MOST_PROBES = 64  # of an int range
MOST_COUNTED = 100_000  # combinations of what conditions and constraints depend on: about a second's work
MOST_EXAMPLES = 500  # tried for one that satisfies the constraints


class Trial(Protocol):
    """The part of optuna.Trial that a space needs."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Allowed = Annotated[tuple[Scalar, ...], Field(min_length=1), BeforeValidator(_as_list)]


class Dimension(Settings):
    """Abstract. A subclass is final; its one field beside `when` carries the name that YAML uses."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    when: dict[str, Allowed] = Field({})

    @abstractmethod
    def suggest(self, trial: Trial, name: str) -> Scalar: ...

    @abstractmethod
    def values(self) -> Sequence[Scalar] | None:
        """Every value, in order; None where there is a continuum."""

    @abstractmethod
    def probes(self) -> Sequence[Scalar]:
        """The values rehearsed before anything runs: every choice, the ends of a range, some between."""

    @abstractmethod
    def holds(self, value: Scalar) -> bool: ...


class Choice(Dimension):
    choice: tuple[Scalar, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _once(self) -> "Choice":
        for i, value in enumerate(self.choice):
            if value in self.choice[:i]:
                raise ValueError(f"{value!r} stands twice")
        return self

    def suggest(self, trial: Trial, name: str) -> Scalar:
        return trial.suggest_categorical(name, self.choice)

    def values(self) -> Sequence[Scalar]:
        return self.choice

    def probes(self) -> Sequence[Scalar]:
        return self.choice

    def holds(self, value: Scalar) -> bool:
        return value in self.choice


class _Range(Dimension):
    """Abstract. From low to high, both included."""

    bounds: tuple[Any, Any]

    @model_validator(mode="after")
    def _in_order(self) -> "_Range":
        if not self.low < self.high:
            raise ValueError(f"from low to high, but {self.low} is not below {self.high}")
        return self

    @property
    def low(self) -> Any:
        return self.bounds[0]

    @property
    def high(self) -> Any:
        return self.bounds[1]

    def values(self) -> Sequence[Scalar] | None:
        return None

    def probes(self) -> Sequence[Scalar]:
        between = self.low + (self.high - self.low) * 0.618034  # no whole number: a field may want one
        return self.low, self.high, between

    def holds(self, value: Scalar) -> bool:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        )


Positive = Annotated[FiniteFloat, Field(gt=0)]
PositiveInt = Annotated[StrictInt, Field(gt=0)]


class Uniform(_Range):
    bounds: tuple[FiniteFloat, FiniteFloat] = Field(alias="uniform")

    def suggest(self, trial: Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high)


class LogUniform(_Range):
    bounds: tuple[Positive, Positive] = Field(alias="log_uniform")

    def suggest(self, trial: Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, log=True)


class _IntRange(_Range):
    """Abstract."""

    def values(self) -> Sequence[int]:
        return range(self.low, self.high + 1)

    def probes(self) -> Sequence[int]:
        every = self.values()
        return [*every[:: max(1, len(every) // MOST_PROBES)], self.high]

    def holds(self, value: Scalar) -> bool:
        return isinstance(value, int) and super().holds(value)


class IntUniform(_IntRange):
    bounds: tuple[StrictInt, StrictInt] = Field(alias="int")

    def suggest(self, trial: Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high)


class LogInt(_IntRange):
    bounds: tuple[PositiveInt, PositiveInt] = Field(alias="log_int")

    def suggest(self, trial: Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, log=True)


# The word in YAML -> the dimension it makes. A new one is one class and one line here.
KINDS: dict[str, type[Dimension]] = {
    "choice": Choice,
    "uniform": Uniform,
    "log_uniform": LogUniform,
    "int": IntUniform,
    "log_int": LogInt,
}
AnyDimension = Choice | Uniform | LogUniform | IntUniform | LogInt


class ConditionCycle(ValueError):
    def __init__(self, names: Sequence[str]):
        self.names = list(names)
        super().__init__(f"the conditions run in a circle: {' -> '.join(names)}")


class Space:
    """Dimensions by dotted name. Raises ConditionCycle where `when` leads back to itself.

    fixed: values of names outside the space, for constraints that name them.
    """

    def __init__(
        self,
        dimensions: Mapping[str, AnyDimension],
        constraints: Sequence[Constraint] = (),
        fixed: Mapping[str, Scalar] = MappingProxyType({}),
    ):
        self.dimensions = {name: dimensions[name] for name in _in_order(dimensions)}
        self.constraints, self._fixed = constraints, fixed

    def active(self, name: str, values: Mapping[str, Scalar]) -> bool:
        """Whether the dimension exists, the values of all those before it being known."""
        conditions = self.dimensions[name].when.items()
        return all(
            key in values and values[key] in allowed for key, allowed in conditions if key in self.dimensions
        )

    def suggest(self, trial: Trial) -> dict[str, Scalar]:
        """A point, asked of the trial in an order that depends on the names alone, not on the file's."""
        values: dict[str, Scalar] = {}
        for name, dimension in self.dimensions.items():
            if self.active(name, values):
                values[name] = dimension.suggest(trial, name)
        return values

    def broken(self, values: Mapping[str, Scalar]) -> Constraint | None:
        """The first constraint that the values do not satisfy. It asks nothing of what does not exist."""
        known = {**self._fixed, **values}
        return next((each for each in self.constraints if not each.holds(known)), None)

    def problem(self, point: Mapping[str, Scalar]) -> tuple[str, str] | None:
        """(name, sentence) where the point is not one of this space, else None."""
        for name, dimension in self.dimensions.items():
            active = self.active(name, point)
            if active and name not in point:
                return name, "missing: a point gives every searched value"
            if not active and name in point:
                return name, "its `when` does not hold at this point"
            if active and not dimension.holds(point[name]):
                return name, f"{point[name]!r} is outside the space"
        strange = next((name for name in point if name not in self.dimensions), None)
        if strange:
            return strange, "not in the space"
        broken = self.broken(point)
        return (broken.names[0], f"breaks the constraint {broken.text}") if broken else None

    def continuous(self) -> list[str]:
        return [name for name, dimension in self.dimensions.items() if dimension.values() is None]

    def size(self) -> int | None:
        """The number of distinct points; None where a dimension is continuous, or it takes long to count."""
        if self.continuous():
            return None
        names = self._deciding()
        decide = {name: dimension for name, dimension in self.dimensions.items() if name in names}
        if math.prod(len(each.values() or ()) for each in decide.values()) > MOST_COUNTED:
            return None
        deciding = Space(decide, self.constraints, self._fixed)
        rest = [name for name in self.dimensions if name not in names]
        return sum(
            math.prod(len(self.dimensions[name].values() or ()) for name in rest if self.active(name, values))
            for values in deciding.points()
        )

    def _deciding(self) -> set[str]:
        """What conditions and constraints name."""
        conditions = {key for dimension in self.dimensions.values() for key in dimension.when}
        return conditions.union(*(each.names for each in self.constraints))

    def points(self) -> Iterator[dict[str, Scalar]]:
        """The grid, the last dimension fastest. Raises ValueError where a dimension is continuous."""
        if self.continuous():
            raise ValueError(f"no grid over the continuous {', '.join(self.continuous())}")
        yield from self._points(list(self.dimensions), {})

    def _points(self, names: Sequence[str], before: Mapping[str, Scalar]) -> Iterator[dict[str, Scalar]]:
        if self.broken(before):
            return
        if not names:
            yield dict(before)
            return
        name, *rest = names
        if not self.active(name, before):
            yield from self._points(rest, before)
            return
        for value in self.dimensions[name].values() or ():
            yield from self._points(rest, {**before, name: value})

    def example(self, wanted: Mapping[str, Scalar]) -> dict[str, Scalar] | None:
        """A point with the wanted values, conditions satisfied, all else at its first value.

        Where that breaks a constraint, what constraints name is at the first of its probes that do not.
        None where no point was found.
        """
        if self.broken(wanted):
            return None
        deciding = self._deciding() if self.constraints else set()
        free = {n: d.probes() for n, d in self.dimensions.items() if n in deciding and n not in wanted}
        for values in islice(product(*free.values()), MOST_EXAMPLES):
            point = self._example({**wanted, **dict(zip(free, values, strict=True))}, wanted)
            if point is not None and self.broken(point) is None:
                return point
        return None

    def _example(
        self, preferred: Mapping[str, Scalar], wanted: Mapping[str, Scalar]
    ) -> dict[str, Scalar] | None:
        needed: dict[str, Sequence[Scalar]] = {name: (value,) for name, value in wanted.items()}
        for name in reversed(self.dimensions):
            for key, allowed in self.dimensions[name].when.items() if name in needed else ():
                needed[key] = [value for value in allowed if value in needed.get(key, allowed)]
        point: dict[str, Scalar] = {}
        for name, dimension in self.dimensions.items():
            if self.active(name, point):
                fitting = [value for value in needed.get(name, dimension.probes()) if dimension.holds(value)]
                if not fitting:
                    return None
                liked = preferred.get(name, fitting[0])
                point[name] = liked if liked in fitting else fitting[0]
        return point if all(name in point for name in wanted) else None


def _in_order(dimensions: Mapping[str, AnyDimension]) -> list[str]:
    """A condition's key before those that depend on it, otherwise by name."""
    sorter = TopologicalSorter(
        {name: [key for key in dimensions[name].when if key in dimensions] for name in sorted(dimensions)}
    )
    try:
        sorter.prepare()
    except CycleError as error:
        raise ConditionCycle(error.args[1]) from None
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order += ready
        sorter.done(*ready)
    return order
