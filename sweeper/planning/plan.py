"""What a sweep would run, from its specification alone: the answer of `check`."""

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

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


def plan(spec: SweepSpec) -> Plan:
    """Counts; an upper bound where the space reaches into the pretrain or the number of steps."""
    size, sampler = spec.space.size() if spec.dimensions else 0, spec.search.strategy
    trials = spec.search.trials if size is None else min(spec.search.trials, size)
    seed = spec.search.seed
    search = examples(spec, seed) if trials else []
    always = [spec.train_config(values, seed) for values in spec.always]

    of_baselines = set(product(spec.always_seed_values, _pretrains(always)))
    stages = of_baselines | {(seed, pretrain) for pretrain in _pretrains(search)}
    open_stages = any(not run.stage_content().keys().isdisjoint(spec.dimensions) for run in search)
    distinct = len(of_baselines) + trials if stages and open_stages else len(stages)
    finetunes = {run.finetune.steps for run in search}
    replicates, confirmed = trials * (spec.replicates - 1), 0
    if spec.confirm:
        confirmed = min(spec.confirm.top, trials + len(spec.always)) * spec.confirm.seeds
    again = [spec.replicate_seed_values] * bool(replicates) + [spec.confirm_seed_values]
    anew = _pretrains([*examples(spec, seed), *always])
    later = {each for seeds in again for each in product(seeds, anew)}
    distinct += replicates + confirmed if stages and open_stages else len(later - stages)
    return Plan(
        trials=trials,
        baselines=len(always) * spec.always_seeds,
        stages=distinct,
        steps=(trials + replicates) * max(finetunes, default=0)
        + confirmed * max((run.finetune.steps for run in (*search, *always)), default=0)
        + sum(run.finetune.steps for run in always) * spec.always_seeds
        + distinct * max((run.pretrain.steps for run in (*search, *always)), default=0),
        at_most=open_stages or len(finetunes) > 1 or bool(spec.early_stopping or replicates or confirmed),
        skipped=(sampler.length(Space(spec.dimensions)) or 0) - (sampler.length(spec.space) or 0),
        replicates=replicates,
        confirmed=confirmed,
    )


def _pretrains(runs: Iterable[TrainConfig]) -> set[str]:
    """What tells the runs' pretrains apart, whatever the seed."""
    contents = (run.stage_content() for run in runs if run.pretrain.steps)
    return {content_hash({key: value for key, value in each.items() if key != "seed"}) for each in contents}


def examples(spec: SweepSpec, seed: int) -> list[TrainConfig]:
    """A run for every fixed point, and for every choice and every end of a range."""
    wanted = [{name: value} for name, each in spec.dimensions.items() for value in each.probes()]
    points = [*spec.search.points, *filter(None, map(spec.space.example, wanted))]
    return [spec.train_config(point, seed) for point in points]
