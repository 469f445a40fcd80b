"""What a sweep would run, from its specification alone: the answer of `check`."""

from collections import Counter
from typing import NamedTuple

from sweeper.planning.pretrains import Pool, Pretrain, Pretrains, on_a_seed
from sweeper.spec.race_counts import CertainRace
from sweeper.spec.space import Space
from sweeper.spec.spec import SweepSpec
from trainer.config.train_config import TrainConfig


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
    pretrain_steps: int = 0  # of the steps, those of pretrains
    stable_parts: int = 0  # that pretrains go on from, beside them


def plan(spec: SweepSpec) -> Plan:
    """Counts; an upper bound where it is not known which pretrains, or how many steps, will be asked for."""
    size, sampler = spec.space.size() if spec.dimensions else 0, spec.search.strategy
    trials = spec.search.trials if size is None else min(spec.search.trials, size)
    every = examples(spec, spec.search.seed)
    search = every if trials else []
    always = _baselines(spec)
    finetunes = {run.finetune.steps for run in search}
    replicates, confirmed = trials * (spec.replicates - 1), 0
    if spec.confirm:
        confirmed = min(spec.confirm.top, trials + len(spec.always)) * spec.confirm.seeds
    least, most = race_runs(spec, trials)
    would = Plan(
        trials=trials,
        baselines=len(always) * spec.always_seeds,
        stages=0,
        steps=(trials + replicates) * max(finetunes, default=0)
        + (confirmed + most) * max((run.finetune.steps for run in (*search, *always)), default=0)
        + sum(run.finetune.steps for run in always) * spec.always_seeds,
        at_most=len(finetunes) > 1 or bool(spec.early_stopping or replicates or confirmed or most),
        skipped=(sampler.length(Space(spec.dimensions)) or 0) - (sampler.length(spec.space) or 0),
        replicates=replicates,
        confirmed=confirmed,
        raced=most,
        raced_least=least,
    )
    pool, shared = pretrains_of(spec, would)
    return would._replace(
        stages=shared.stages,
        steps=would.steps + shared.steps,
        at_most=would.at_most or not pool.exact,
        pretrain_steps=shared.steps,
        stable_parts=shared.parts,
    )


def pretrains_of(spec: SweepSpec, would: Plan) -> tuple[Pool, Pretrains]:
    """What the search's trials branch from, and all that is trained of pretrains. would: numbers of runs."""
    always = sorted(map(Pretrain.of, _baselines(spec)), key=lambda each: each.stable)  # they wait together
    pool = Pool.of_search(spec, examples(spec, spec.search.seed)) if would.trials else Pool([], True, True, 0)
    of_search = [spec.search.seed, *spec.replicate_seed_values] if would.trials else []
    later, again = Counter[int](), pool.beside(always)
    for seeds, runs in ((spec.confirm_seed_values, would.confirmed), (spec.race_seed_values, would.raced)):
        later.update(dict.fromkeys(seeds, runs // max(1, len(seeds))))
    total = Pretrains()
    for seed in {*of_search, *later, *spec.always_seed_values}:
        baselines = always if seed in spec.always_seed_values else []
        mine = on_a_seed(baselines, pool, would.trials) if seed in of_search else None
        total = total.plus(mine or on_a_seed(baselines, again, later[seed]))
    return pool, total


def _baselines(spec: SweepSpec) -> list[TrainConfig]:
    """At one seed."""
    return [spec.train_config(values, spec.search.seed) for values in spec.always]


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


def examples(spec: SweepSpec, seed: int) -> list[TrainConfig]:
    """A run for every fixed point, and for every choice and every end of a range."""
    wanted = [{name: value} for name, each in spec.dimensions.items() for value in each.probes()]
    points = [*spec.search.points, *filter(None, map(spec.space.example, wanted))]
    return [spec.train_config(point, seed) for point in points]
