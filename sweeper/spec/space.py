"""What does a sweep vary? Its dimensions, and the points that they make together. No torch, no optuna.

A dimension with `when` exists only where another key has one of the values said; a condition on a key
outside the space is about a fixed value, checked with the spec, and always holds here.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import islice, product
from types import MappingProxyType

from sweeper.spec.constraints import Constraint
from sweeper.spec.dimensions import AnyDimension, Trial
from trainer.values import Scalar

MOST_COUNTED = 100_000  # combinations of what conditions and constraints depend on: about a second's work
MOST_EXAMPLES = 500  # tried for one that satisfies the constraints


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
