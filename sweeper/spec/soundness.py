"""What is wrong with a sweep whose parts are right by themselves: what sections say together. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sweeper.spec.reading import Reading
from sweeper.strategies.samplers import SAMPLERS
from trainer.config.train_config import TrainConfig

if TYPE_CHECKING:
    from sweeper.spec.spec import SweepSpec

MOST_GRID_POINTS = 10_000
MEASURED_BY = dict.fromkeys(("var_nelbo", "var_nelbo_loglinear"), "evaluation.variance_batches")


def check_together(spec: SweepSpec, reading: Reading) -> None:
    """Adds what it finds to the reading's problems."""
    _check_search(spec, reading)
    _check_early_stopping(spec, reading)
    if spec.reference and len(spec.reference.rows) != len(spec.always):
        said = f"{len(spec.reference.rows)} rows, but `always` has {len(spec.always)} runs: one for each"
        reading.problem("reference.rows", "reference.rows", said)


def _check_search(spec: SweepSpec, reading: Reading) -> None:
    search, size = spec.search, spec.space.size()
    if not spec.dimensions and not spec.always:
        reading.problem("space", "space", "nothing to run: neither a space nor `always` says anything")
    elif not spec.dimensions and search.trials:
        reading.problem(
            "search.trials", "search.trials", "there is no space to search; fill `space`, or say 0"
        )
    elif spec.dimensions and size == 0:
        reading.problem("constraints", "constraints", "no point of the space satisfies them")
    elif spec.dimensions and not search.trials and not spec.always and search.sampler != "fixed":
        reading.problem("search.trials", "search.trials", "nothing to run: no trials, and no `always`")
    if spec.dimensions and search.sampler == "fixed" and not search.points:
        reading.problem("search.sampler", "search.points", "missing: sampler `fixed` proposes these alone")
    continuous = ", ".join(spec.space.continuous())
    if search.sampler == "grid" and continuous:
        reading.problem("search.sampler", "search.sampler", f"no grid over a continuous range: {continuous}")
    elif search.sampler == "grid" and (size is None or size > MOST_GRID_POINTS):
        points = "too many points to count" if size is None else f"{size:,} points"
        said = f"a grid of {points}; use tpe or random above {MOST_GRID_POINTS:,}"
        reading.problem("search.sampler", "search.sampler", said)
    if search.warm_start and not SAMPLERS[search.sampler].learns:
        said = f"sampler {search.sampler} learns nothing from other sweeps; tpe and nsgaii do"
        reading.problem("search.warm_start", "search.warm_start", said)
    if spec.name in search.warm_start:
        reading.problem("search.warm_start", "search.warm_start", f"{spec.name!r} is this sweep itself")
    for each in spec.metrics:
        if each in MEASURED_BY and spec.trainer.get(MEASURED_BY[each]) == 0:
            reading.problem("metric", "metric", f"{each} is not measured where {MEASURED_BY[each]} is 0")


def _check_early_stopping(spec: SweepSpec, reading: Reading) -> None:
    """That there is an evaluation at which a trial could be ended."""
    if spec.early_stopping is None or "evaluation.every" in spec.dimensions:
        return
    at, least = "early_stopping.min_steps", spec.early_stopping.min_steps
    every = int(spec.trainer.get("evaluation.every", TrainConfig.from_dotted({}).evaluation.every))
    if least >= spec.longest:
        said = f"{least} leaves nothing to save of a fine-tune of {spec.longest} steps"
        reading.problem(at, at, said)
    elif every >= spec.longest:
        said = f"a trial is ended at an evaluation, and none of every {every} steps comes before the end"
        reading.problem("trainer.evaluation.every", at, said)
