"""The Pareto front: what no other configuration beats in every one of some metrics."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from trainer.metrics import lower_is_better


class Measured(Protocol):
    """The part of a board's row that is compared."""

    @property
    def configuration(self) -> int: ...
    @property
    def val_nelbo(self) -> float | None: ...
    @property
    def val_ppl(self) -> float | None: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...


def front(points: Sequence[Sequence[float]]) -> list[bool]:
    """Of points of which less is better in every coordinate; equal points are on it together."""
    found: list[Sequence[float]] = []
    on_it: dict[tuple[float, ...], bool] = {}
    for point in sorted(map(tuple, points)):  # whatever beats a point stands before it
        beaten = any(all(a <= b for a, b in zip(other, point, strict=True)) for other in found)
        if point not in on_it:
            on_it[point] = not beaten
            found += [] if beaten else [point]
    return [on_it[tuple(point)] for point in points]


def on_the_front(rows: Sequence[Measured], metrics: Sequence[str]) -> set[int]:
    """Configurations, by the search's numbers as they are, without regard to their errors.

    metrics: the sweep's, two at least. The first ranks, and val_nelbo stands for it.
    """
    signs = {name: 1.0 if lower_is_better(name) else -1.0 for name in metrics[1:]}
    points = {
        row.configuration: (row.val_nelbo, *(sign * row.metrics[name] for name, sign in signs.items()))
        for row in rows
        if row.val_nelbo is not None and signs.keys() <= row.metrics.keys()
    }
    on_it = front(list(points.values()))
    return {configuration for configuration, is_on_it in zip(points, on_it, strict=True) if is_on_it}


class Placed(NamedTuple):
    configuration: int
    x: float
    y: float
    on_front: bool


def plane(rows: Sequence[Measured], x: str, y: str) -> list[Placed]:
    """The rows that have both metrics, by the search's numbers without regard to their errors.

    x, y: metrics of which less is better: val_ppl, and what a row has in its metrics.
    """
    points = [(row.configuration, _value(row, x), _value(row, y)) for row in rows]
    known = [(c, a, b) for c, a, b in points if a is not None and b is not None]
    on_it = front([(a, b) for _, a, b in known])
    return [Placed(*point, is_on_it) for point, is_on_it in zip(known, on_it, strict=True)]


def _value(row: Measured, name: str) -> float | None:
    """None where it is not known, or no number."""
    found = row.metrics.get(name) if name != "val_ppl" else row.val_ppl
    return found if found is not None and math.isfinite(found) else None
