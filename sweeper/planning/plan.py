"""What a sweep would run, from its specification alone: the answer of `check`."""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

from sweeper.spec.race_counts import CertainRace
from sweeper.spec.space import Space
from sweeper.spec.spec import SweepSpec
from trainer.config.train_config import TrainConfig, content_hash


class Plan(NamedTuple):
    trials: int  # of the search
    baselines: int  # runs: configurations times seeds
    stages: int  # distinct pretrains, each run once
    steps: int  # optimizer steps, pretrains included
    at_most: bool  # stages and steps depend on what will be proposed
    skipped: int = 0  # points of the grid that break a constraint
    replicates: int = 0  # runs, at most: what is pruned or fails has none
    confirmed: int = 0  # runs
    raced: int = 0  # runs of the race, at most
    raced_least: int = 0  # and at least, where the search has completed what it tries


def plan(spec: SweepSpec) -> Plan:
    """Counts; an upper bound where the space reaches into the pretrain or the number of steps."""
    size, sampler = spec.space.size() if spec.dimensions else 0, spec.search.strategy
    trials = spec.search.trials if size is None else min(spec.search.trials, size)
    seed = spec.search.seed
    every = examples(spec, seed)
    search = every if trials else []
    always = [spec.train_config(values, seed) for values in spec.always]

    of_baselines = set(product(spec.always_seed_values, _pretrains(always)))
    stages = of_baselines | {(seed, pretrain) for pretrain in _pretrains(search)}
    open_stages = any(not run.stage_content().keys().isdisjoint(spec.dimensions) for run in search)
    distinct = len(of_baselines) + trials if stages and open_stages else len(stages)
    finetunes = {run.finetune.steps for run in search}
    replicates, confirmed = trials * (spec.replicates - 1), 0
    if spec.confirm:
        confirmed = min(spec.confirm.top, trials + len(spec.always)) * spec.confirm.seeds
    least, most = race_runs(spec, trials)
    rounds = spec.race_seed_values if most else range(0)
    again = [spec.replicate_seed_values] * bool(replicates) + [spec.confirm_seed_values, rounds]
    anew = _pretrains([*every, *always])
    later = {each for seeds in again for each in product(seeds, anew)}
    distinct += replicates + confirmed + most if stages and open_stages else len(later - stages)
    return Plan(
        trials=trials,
        baselines=len(always) * spec.always_seeds,
        stages=distinct,
        steps=(trials + replicates) * max(finetunes, default=0)
        + (confirmed + most) * max((run.finetune.steps for run in (*search, *always)), default=0)
        + sum(run.finetune.steps for run in always) * spec.always_seeds
        + distinct * max((run.pretrain.steps for run in (*search, *always)), default=0),
        at_most=open_stages
        or len(finetunes) > 1
        or bool(spec.early_stopping or replicates or confirmed or most),
        skipped=(sampler.length(Space(spec.dimensions)) or 0) - (sampler.length(spec.space) or 0),
        replicates=replicates,
        confirmed=confirmed,
        raced=most,
        raced_least=least,
    )


def race_runs(spec: SweepSpec, trials: int) -> tuple[int, int]:
    """Runs of the race, at least and at most: the first rounds of as few as may be, all rounds of as many.

    trials: configurations of the search. What baselines have run on a round's seed is not run again.
    """
    certain = CertainRace.of(spec.resolved())
    if spec.settle is None or certain is None:
        return 0, 0
    there = trials + len(spec.always)
    races = 1
    if spec.settle.by is not None and spec.settle.by in spec.dimensions:
        races = max(1, len(spec.dimensions[spec.settle.by].probes()))
    most = min(there, spec.settle.contenders * races)
    return (0, 0) if most < 2 else (certain.runs(there), most * spec.settle.seeds)


def _pretrains(runs: Iterable[TrainConfig]) -> set[str]:
    """What tells the runs' pretrains apart, whatever the seed."""
    contents = (run.stage_content() for run in runs if run.pretrain.steps)
    return {content_hash({key: value for key, value in each.items() if key != "seed"}) for each in contents}


def examples(spec: SweepSpec, seed: int) -> list[TrainConfig]:
    """A run for every fixed point, and for every choice and every end of a range."""
    wanted = [{name: value} for name, each in spec.dimensions.items() for value in each.probes()]
    points = [*spec.search.points, *filter(None, map(spec.space.example, wanted))]
    return [spec.train_config(point, seed) for point in points]
