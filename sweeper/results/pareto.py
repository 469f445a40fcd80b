"""The Pareto front: what no other configuration beats in every metric that a sweep searches on."""

from collections.abc import Sequence
from typing import Protocol

from trainer.metrics import lower_is_better


class Measured(Protocol):
    """The part of a board's row that is compared."""

    @property
    def configuration(self) -> int: ...
    @property
    def val_nelbo(self) -> float | None: ...
    @property
    def metrics(self) -> dict[str, float]: ...


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
