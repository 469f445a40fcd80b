"""What a search knows before its first proposal: trials of earlier sweeps in the same store.

They are written down when the sweep begins, and read from there ever after: what becomes of the other sweep
does not move this one's proposals.
"""

from collections.abc import Mapping
from typing import Any

from sweeper.spec.space import Space
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.records import ForeignTrial
from trainer.config.problems import InvalidConfig, Problem
from trainer.config.train_config import TrainConfig
from trainer.nearest import did_you_mean, nearest

# With data.*, what an evaluation's identity is made of: the rest says how the same number is estimated.
MEASURED_ON = ("evaluation.sequences", "evaluation.seed")


def foreign_trials(spec: SweepSpec, reader: Reader) -> list[ForeignTrial]:
    """In the order of the spec, then of their numbers.

    Raises InvalidConfig in a sentence where a sweep that is named has none that fit.
    """
    return [trial for name in spec.search.warm_start for trial in _of(name, spec, reader)]


def _of(name: str, spec: SweepSpec, reader: Reader) -> list[ForeignTrial]:
    other = reader.sweep(name)
    if other is None:
        meant = did_you_mean(nearest(name, [each.name for each in reader.sweeps()]))
        raise _problem(f"there is no sweep {name!r} in this database{meant}")
    configurations = reader.configurations(other.id)
    if configurations:
        _compare(name, next(iter(configurations.values())), spec)
    values = _values(spec, reader, other.id)
    complete = [
        trial
        for trial in reader.trials(other.id)
        if trial.role == "search" and trial.state == "complete" and trial.repeat_of is None
    ]
    measured = [trial for trial in complete if trial.id in values]
    if not measured:
        raise _problem(f"sweep {name!r} has no complete trial of its search with {', '.join(spec.metrics)}")
    found = []
    for trial in sorted(measured, key=lambda trial: trial.number or 0):
        point = _point(spec.space, configurations[trial.configuration])
        if point is not None:
            found.append(ForeignTrial(name, trial.id, point, values[trial.id]))
    if not found:
        raise _problem(f"none of the {len(measured)} complete trials of sweep {name!r} lies in this space")
    return found


def _compare(name: str, values: Mapping[str, Any], spec: SweepSpec) -> None:
    """Of a sweep all runs are measured on the same text: one of its configurations stands for all."""
    ours = _measured_on(spec.train_config(Space(spec.dimensions).example({}) or {}, spec.search.seed))
    theirs = _measured_on(TrainConfig.from_dotted(values))
    for key in sorted({*ours, *theirs}):
        if ours.get(key) != theirs.get(key):
            raise _problem(
                f"sweep {name!r} was measured on other text: its {key} is {theirs.get(key)}, "
                f"here it is {ours.get(key)}"
            )


def _measured_on(config: TrainConfig) -> dict[str, Any]:
    values = config.to_dotted()
    return {key: value for key, value in values.items() if key.startswith("data.") or key in MEASURED_ON}


def _values(spec: SweepSpec, reader: Reader, sweep: int) -> dict[int, list[float]]:
    """By trial: the best of the first metric, the latest of the others; only where there are all."""
    found: dict[str, dict[int, float]] = {name: {} for name in spec.metrics}
    for row in reader.latest(sweep):
        if row.name in found:
            found[row.name][row.trial] = row.best
    together = set.intersection(*(set(by_trial) for by_trial in found.values()))
    return {trial: [by_trial[trial] for by_trial in found.values()] for trial in together}


def _point(space: Space, values: Mapping[str, Any]) -> dict[str, Any] | None:
    point: dict[str, Any] = {}
    for name in space.dimensions:
        if space.active(name, point) and name in values:
            point[name] = values[name]
    return point if space.problem(point) is None else None


def _problem(sentence: str) -> InvalidConfig:
    return InvalidConfig([Problem("search.warm_start", sentence)])
