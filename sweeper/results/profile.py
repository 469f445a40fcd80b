"""One parameter of a search, value by value: the bound with its interval, beside the training objective.

The objective is what a search would go by that trusted its own loss; it means another thing at every weight.
"""

from typing import Any, NamedTuple

from sweeper.results.leaderboard import leaderboard
from sweeper.results.row import Row
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.words import times


class NoProfile(ValueError):
    """There is nothing to show, in a sentence."""


class Point(NamedTuple):
    value: Any
    val_ppl: float
    low: float | None
    high: float | None
    tied_with_best: bool
    difference: float  # above the best, nats per token
    margin: float | None  # that it must exceed to count
    objective: float | None
    seeds: int
    trials: list[int]


class Profile(NamedTuple):
    parameter: str
    points: list[Point]  # in order of the parameter

    @property
    def best(self) -> Point:
        return min(self.points, key=lambda point: point.difference)

    @property
    def by_objective(self) -> Point | None:
        """What a search on the objective would have chosen of the same runs."""
        known = [point for point in self.points if point.objective is not None]
        return min(known, key=lambda point: point.objective or 0.0) if known else None

    def words(self) -> list[str]:
        short = self.parameter.rpartition(".")[2]
        tied = sum(point.tied_with_best for point in self.points) - 1
        said = f"Best by val_ppl: {short} = {_short(self.best.value)}"
        lines = [f"{said}, and {tied} of {len(self.points) - 1} others cannot be told from it at 95%."]
        chosen = self.by_objective
        if chosen is not None and chosen.objective is not None:
            margin = "?" if chosen.margin is None else f"{chosen.margin:.4f}"
            above = f"{chosen.difference:+.4f} ±{margin} nats per token above the best bound"
            lines.append(
                f"A search on the objective would have chosen {short} = {_short(chosen.value)} "
                f"(exp(objective) {times(chosen.objective):.4g}): {above}."
            )
        return lines


def profile(reader: Reader, sweep: SweepRecord, parameter: str) -> Profile:
    """Raises NoProfile."""
    rows = [row for row in leaderboard(reader, sweep.name).rows if row.rank is not None]
    points = [_point(row, row.values[parameter]) for row in rows if row.values.get(parameter) is not None]
    if len({str(point.value) for point in points}) < 2:
        raise NoProfile(f"no two configurations of {sweep.name} that have a rank differ in {parameter}")
    return Profile(parameter, sorted(points, key=lambda point: (str(type(point.value)), point.value)))


def _point(row: Row, value: Any) -> Point:
    assert row.val_ppl is not None
    low, high = row.val_ppl_low, row.val_ppl_high
    difference, objective = row.difference or 0.0, row.metrics.get("objective")
    tied = row.tied_with_best
    return Point(
        value, row.val_ppl, low, high, tied, difference, row.margin, objective, row.seeds, row.trials
    )


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
