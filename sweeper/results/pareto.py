"""The Pareto front: what no other configuration beats in every metric that a sweep searches on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trainer.metrics import ALSO_SEARCHED

if TYPE_CHECKING:
    from sweeper.results.leaderboard import Row


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


def with_front(rows: Sequence[Row], metrics: Sequence[str]) -> list[Row]:
    """Ranked rows with `pareto` said, by the search's numbers as they are, without regard to their errors.

    metrics: the sweep's; of a sweep with one nothing is said. The first ranks, and val_nelbo stands for it.
    """
    _, *others = metrics
    if not others:
        return list(rows)
    signs = {name: 1.0 if ALSO_SEARCHED[name] == "min" else -1.0 for name in others}
    points = {
        row.configuration: (row.val_nelbo, *(sign * row.metrics[name] for name, sign in signs.items()))
        for row in rows
        if row.val_nelbo is not None and signs.keys() <= row.metrics.keys()
    }
    on_it = dict(zip(points, front(list(points.values())), strict=True))
    return [row._replace(pareto=on_it.get(row.configuration, False)) for row in rows]
