"""A Gaussian process that knows how noisy each value is: Optuna's parts, for what a sweep has beside them.

Noise. A trial's own error is part of the noise of its value; what else there is, the seed's above all, is
fitted as one variance for all. Its own is what it does not share: all trials are evaluated on the same
documents, and what a hard document adds to each of them moves no order.

Conditions. Optuna's sampler models what every trial has, and draws the rest at random. Here a point has all
dimensions, and one that does not exist stands at one place, whatever else is proposed.

What failed or was ended early counts as the worst that is complete: else a promising point that cannot be run
would be proposed again and again. What is far worse than the others, as a run that diverged is, counts as no
worse than FAR times as far from the median as the best: else all that is good would look alike.

Of what the process finds promising, the first that satisfies the constraints and has not been tried is
proposed: a second trial of a configuration would be told the value of the first, not another draw of its
noise.

Shapes: N trials, D dimensions, M metrics.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeper.strategies.optuna_private import FAILED
from sweeper.strategies.optuna_private_gp import (
    Array,
    fitted,
    improvement,
    normalised,
    one_thread,
    promising,
    space_of,
)
from sweeper.strategies.shown import DEVIATIONS, Space

FAR = 3
NEAR = 1e-9  # two places of a choice, or of an int, are further apart
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
MOST_FAILURES = 20  # the latest, that it is fitted on


class GaussianProcess(RandomSampler):
    """Random until `startup` trials have ended; and a parameter that none of them has stays so.

    even: points of an even spread, among which the search for the best begins.
    """

    def __init__(self, seed: int, space: Space, startup: int, even: int):
        super().__init__(seed)
        self._seed, self._space, self._startup, self._even = seed, space, startup, even

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        ended = study.get_trials(deepcopy=False, states=ENDED)
        if len(ended) < self._startup or all(each.state == TrialState.PRUNED for each in ended):
            return {}
        found = {name: kind for each in ended for name, kind in each.distributions.items()}
        return {name: found[name] for name in self._space.dimensions if name in found}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        points = Points(self._space, search_space)
        ended = sorted([*study.get_trials(deepcopy=False, states=ENDED), *self._failures(study)], key=_number)
        running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        others = [each for each in running if each.params and each.number != trial.number]
        with one_thread():
            found = self._promising(points, _once(ended), others, study.directions)
        tried = [each.params for each in (*ended, *others)]
        for point in map(points.params, found):
            if point not in tried and self._space.broken(point) is None:
                return point
        return {}

    def _failures(self, study: Study) -> list[FrozenTrial]:
        """Without the points that were refused for a constraint: a rebuilt study does not know them."""
        failed = study.get_trials(deepcopy=False, states=FAILED)
        run = [each for each in failed if each.params and self._space.broken(each.params) is None]
        return run[-MOST_FAILURES:]

    def _promising(
        self,
        points: "Points",
        ended: Sequence[FrozenTrial],
        running: Sequence[FrozenTrial],
        directions: Sequence[StudyDirection],
    ) -> Array:
        """Points of the process, the best first."""
        x_ND, (value_NM, variance_NM) = points.of(ended), _observed(ended, directions)
        processes = [
            fitted(points.space, x_ND, value_N, variance_N, points.canonical)
            for value_N, variance_N in zip(value_NM.T, variance_NM.T, strict=True)
        ]
        best = sorted({int(each.expected().argmax()) for each in processes})
        for each in processes if running else ():
            each.believe(points.of(running))
        gain = improvement(points.space, processes, self._seed)
        return promising(gain, x_ND[best], self._even, np.random.RandomState(self._seed))


class Points:
    """Between the parameters of a trial and a point of the process, whose dimensions stand as the space's."""

    def __init__(self, space: Space, distributions: Mapping[str, BaseDistribution]):
        self._space, self._names = space, list(distributions)
        self.space = space_of(distributions)
        # Of what does not exist: some value, and the place where it is put, which no choice and no int has.
        self._some = {name: _some(each) for name, each in distributions.items()}
        self._absent = [0.5 if isinstance(d, FloatDistribution) else -1.0 for d in distributions.values()]
        self._conditions = [list(self._conditions_of(name)) for name in self._names]

    def _conditions_of(self, name: str) -> Iterator[tuple[int, list[float]]]:
        """Of each dimension that it depends on: which, and the places there for which it exists."""
        for key, allowed in self._space.dimensions[name].when.items():
            if key in self._names:
                which = self._names.index(key)
                yield which, self._normalised([{key: value} for value in allowed])[:, which].tolist()

    def _normalised(self, given: Sequence[Mapping[str, Any]]) -> Array:
        return normalised(self.space, [{**self._some, **each} for each in given])

    def of(self, trials: Sequence[FrozenTrial]) -> Array:
        """x_ND."""
        return self._normalised([each.params for each in trials])

    def canonical(self, x: Any) -> Any:
        """Points that are one configuration become one. x (..., D), of numpy or of torch."""
        x = x + 0.0
        for place, conditions in enumerate(self._conditions):
            for which, allowed in conditions:  # what it depends on stands before it, and is in its place
                exists = reduce(or_, [abs(x[..., which] - each) < NEAR for each in allowed])
                x[..., place] = exists * x[..., place] + ~exists * self._absent[place]
        return x

    def params(self, x_D: Array) -> dict[str, Any]:
        """Of what exists there."""
        whole, point = self.space.get_unnormalized_param(x_D), dict[str, Any]()
        for name in self._names:
            if self._space.active(name, point):
                point[name] = whole[name]
        return point


def _observed(ended: Sequence[FrozenTrial], directions: Sequence[StudyDirection]) -> tuple[Array, Array]:
    """value_NM, about 0 with a spread of 1 and high where good, and the variance of its known error."""
    sign_M = np.array([-1.0 if each == StudyDirection.MINIMIZE else 1.0 for each in directions])
    complete = [each.state == TrialState.COMPLETE for each in ended]
    complete_NM = sign_M * np.array([each.values for each in ended if each.state == TrialState.COMPLETE])
    value_NM = np.tile(complete_NM.min(axis=0), (len(ended), 1))
    value_NM[complete] = complete_NM
    median_M, best_M = np.median(complete_NM, axis=0), complete_NM.max(axis=0)
    value_NM = np.maximum(value_NM, median_M - FAR * (best_M - median_M))
    spread_M = value_NM.std(axis=0)
    spread_M[spread_M == 0] = 1.0
    variance_NM = np.zeros_like(value_NM)
    variance_NM[:, 0] = own_variance([each.system_attrs.get(DEVIATIONS, []) for each in ended])
    return (value_NM - value_NM.mean(axis=0)) / spread_M, variance_NM / spread_M**2


def own_variance(given: Sequence[Sequence[float]]) -> Array:
    """variance_N of each trial's error, without what all that were measured on as many documents share.

    Where nothing is known of a trial, the median of the others; 0 where nothing is known of any.
    """
    variance_N = np.full(len(given), np.nan)
    for documents in {len(each) for each in given} - {0}:
        which = [n for n, each in enumerate(given) if len(each) == documents]
        deviation_ND = np.array([given[n] for n in which])
        if len(which) > 1:
            deviation_ND = (deviation_ND - deviation_ND.mean(axis=0)) * (len(which) / (len(which) - 1)) ** 0.5
        variance_N[which] = (deviation_ND**2).sum(axis=1)
    known = variance_N[np.isfinite(variance_N)]
    return np.nan_to_num(variance_N, nan=float(np.median(known)) if len(known) else 0.0)


def _number(trial: FrozenTrial) -> int:
    return trial.number


def _once(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The first of each configuration: the others were told its value."""
    first: dict[tuple[tuple[str, Any], ...], FrozenTrial] = {}
    for each in trials:
        first.setdefault(tuple(sorted(each.params.items())), each)
    return list(first.values())


def _some(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return distribution.low
