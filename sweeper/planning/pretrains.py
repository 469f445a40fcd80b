"""Which pretrains does a sweep train, how many steps of each? What they have in common is trained once.

As sweeper/driver/stages.py does it: a pretrain with a decay is two stages, its stable part and the decay that
branches from that one's end; a stage goes on from the longest stable part of its own that is there. Seeds are
alike: all is counted on one, and by how many runs there are on each.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sweeper.spec.space import Space
from sweeper.spec.spec import SweepSpec
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig

MOST_LISTED = 1000  # pretrains of a space: half a second's work


class Pretrain(NamedTuple):
    """Of a run, whatever its seed."""

    key: str
    steps: int
    stable: int  # of the steps, from the first: they may be another's, too
    way: str  # which stable part
    part: str  # its key, were it a stage of its own
    values: Mapping[str, Any]  # of the run

    @classmethod
    def of(cls, run: TrainConfig) -> "Pretrain":
        stable = run.pretrain.stable_steps
        way, part = (run.until(steps).stage_key() for steps in (1, stable))
        return cls(run.stage_key(), run.pretrain.steps, stable, way, part, run.to_dotted())


class Leg(NamedTuple):
    """What is trained of a stage: the steps before are those of another, that it goes on from."""

    values: Mapping[str, Any]  # of a run
    steps: int
    is_part: bool = False  # a stable part, from which no trial branches
    times: float = 1.0


def legs(asked: Iterable[Pretrain]) -> dict[str, Leg]:
    """Of all stages that these ask for in this order, on one seed, by key; each is trained once."""
    found, lengths = dict[str, Leg](), dict[str, set[int]]()
    for each in asked:
        if each.key in found:
            found[each.key] = found[each.key]._replace(is_part=False)
        if not each.steps or each.key in found:
            continue
        there = lengths.setdefault(each.way, {0})
        begun = max(length for length in there if length <= each.stable and length < each.steps)
        if begun < each.stable < each.steps:
            found[each.part] = Leg(each.values, each.stable - begun, is_part=True)
            begun = each.stable
        found[each.key] = Leg(each.values, each.steps - begun)
        there.add(each.stable)
    return found


class Pool(NamedTuple):
    """The pretrains that runs are drawn from, in the order in which they are trained; or examples of them."""

    pretrains: Sequence[Pretrain]
    closed: bool  # there are no others
    whole: bool  # and each is drawn
    own: float  # steps of a run's pretrain: of each on average where all runs are known, else at most

    @classmethod
    def of_search(cls, spec: SweepSpec, examples: Sequence[TrainConfig]) -> "Pool":
        """examples: of what it proposes, at one seed."""
        names = {name for run in examples for name in run.stage_content()} & spec.dimensions.keys()
        reaching = {name: each for name, each in spec.dimensions.items() if name in names}
        space = Space(reaching, spec.space.constraints, spec.trainer)
        sampler, points, size = spec.search.strategy, spec.search.points, space.size()
        listed = points if sampler.only_points else sampler.points(spec.space)
        if not sampler.only_points:
            if size is None or size > MOST_LISTED:
                return cls.open(examples)
            points = (*points, *filter(None, map(spec.space.example, space.points())))
        try:
            found = [spec.train_config(point, spec.search.seed) for point in points]
        except InvalidConfig:  # values that each go with another, but not all together
            found = []
        if not found:
            return cls.open(examples)
        pretrains = [Pretrain.of(run) for run in found]
        if not sampler.lists:  # in no order: at worst no stable part goes on from a shorter one
            pretrains.sort(key=lambda each: -each.stable)
        one = len({each.key for each in pretrains}) == 1
        whole = one or (sampler.lists and spec.search.trials >= len(listed))
        unless_said = 0 if "pretrain.steps" in spec.dimensions else pretrains[0].steps
        said = (point.get("pretrain.steps", unless_said) for point in listed)
        steps = [each for each in said if isinstance(each, int)]
        most = max(each.steps for each in pretrains)
        own = math.fsum(steps) / len(steps) if whole and steps else most
        return cls(pretrains, True, whole, own)

    @classmethod
    def open(cls, examples: Sequence[TrainConfig]) -> "Pool":
        found = [Pretrain.of(run) for run in examples if run.pretrain.steps]
        return cls(found, not found, not found, max((each.steps for each in found), default=0))

    @property
    def exact(self) -> bool:
        """Whether it is known what is trained: of what waits together the shortest goes first."""
        first = sorted(self.pretrains, key=lambda each: each.stable)
        least, said = (sum(leg.steps for leg in legs(order).values()) for order in (first, self.pretrains))
        return self.whole and said == least

    def beside(self, baselines: Sequence[Pretrain]) -> "Pool":
        """Of what is run again when all of it is known: it waits together, and the shortest goes first."""
        both = sorted([*baselines, *self.pretrains], key=lambda each: each.stable)
        own = max([self.own, *(each.steps for each in baselines)])
        return Pool(both, self.closed, False, own)


class Pretrains(NamedTuple):
    """Of one seed, or of several together: at most, where not all runs are known."""

    stages: int = 0  # that trials branch from
    parts: int = 0  # stable parts that only these go on from
    steps: int = 0  # of all
    unshared: int = 0  # were each run's its own
    legs: tuple[Leg, ...] = ()

    @classmethod
    def of(cls, trained: Sequence[Leg], unshared: int) -> "Pretrains":
        parts = sum(leg.is_part for leg in trained)
        steps = sum(leg.steps for leg in trained)
        return cls(len(trained) - parts, parts, steps, unshared, tuple(trained))

    def plus(self, more: "Pretrains") -> "Pretrains":
        return Pretrains(
            self.stages + more.stages,
            self.parts + more.parts,
            self.steps + more.steps,
            self.unshared + more.unshared,
            (*self.legs, *more.legs),
        )


def on_a_seed(baselines: Sequence[Pretrain], pool: Pool, drawn: int) -> Pretrains:
    """drawn: runs, of the pool."""
    unshared = sum(each.steps for each in baselines) + round(drawn * pool.own)
    sure, every = (
        Pretrains.of(list(legs(each).values()), unshared)
        for each in (baselines, [*baselines, *pool.pretrains])
    )
    if not drawn or (pool.closed and drawn >= every.stages - sure.stages):
        return every if drawn else sure
    # Each at most as if it were alone.
    alone = sure.steps + drawn * max(each.steps for each in pool.pretrains)
    share = drawn / len(pool.pretrains)
    return Pretrains(
        sure.stages + drawn,
        sure.parts + (drawn if every.parts > sure.parts else 0),
        min(alone, every.steps) if pool.closed else alone,
        unshared,
        (*sure.legs, *(Leg(each.values, each.steps, times=share) for each in pool.pretrains)),
    )
