"""PASHA (Bohdal et al. 2022, arXiv 2207.06940): a ladder of rungs that grows only while the order at its top
is not settled.

Rungs, and who goes on from them, are those of asynchronous successive halving; but at first there are two.
Whenever a trial comes to the top rung, the order of the trials there is held against their order at the rung
below. Where it is another, the ladder grows by a rung. Trials within the noise of each other are not out of
order. The noise is read off curves that cross to and fro: two trials whose order has changed twice are as
good as equal, and what is between them now is noise; of all such distances the 90th percentile.

In the paper a trial at the top of the ladder stops, and what won is trained to its end afterwards. Here a
trial that stops early has no rank. So at a top whose order is settled the best so far, and what is within the
noise of it, goes on to its end, and the others are ended: somebody is complete always. Where nothing is ever
settled this is successive halving.

All that is remembered are attributes of trials and their values: a study that was rebuilt decides the same.
"""

from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np
from optuna.pruners import BasePruner
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from sweeper.strategies.optuna_private import RUNG, set_attribute

TOP = "pasha:top"  # a trial's attribute: the rung to which the ladder has grown when it came
FIRST_TOP = 1
MOST_COMPARED = 50  # the best at a rung: what the order and the noise are read off
PERCENTILE = 90


class ProgressiveHalving(BasePruner):
    def __init__(self, min_steps: int, reduction_factor: int):
        self._min_steps, self._factor = min_steps, reduction_factor

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        assert step is not None, "a trial is judged when it has reported"
        first = next(rung for rung in count() if f"{RUNG}{rung}" not in trial.system_attrs)
        for rung in count(first):
            if step < self._min_steps * self._factor**rung:
                break
            set_attribute(study, trial, f"{RUNG}{rung}", trial.intermediate_values[step])
            if not self._goes_on(study, trial, rung):
                return True
        return False

    def _goes_on(self, study: Study, trial: FrozenTrial, rung: int) -> bool:
        ladder = Ladder(study)
        came = ladder.values(rung)
        if rung > ladder.top:  # it is above the ladder, and waits there for others
            return True
        if rung == ladder.top:
            if ladder.settled:
                return came[trial.number] <= min(came.values()) + ladder.noise
            set_attribute(study, trial, TOP, rung + 1)
        return came[trial.number] <= sorted(came.values())[max(1, len(came) // self._factor) - 1]


class Ladder:
    """As it stands. Values are turned so that low is good, whatever the study's direction."""

    def __init__(self, study: Study):
        self._trials = study.get_trials(deepcopy=False)
        self.sign = 1.0 if study.direction == StudyDirection.MINIMIZE else -1.0
        self.top = max(each.system_attrs.get(TOP, FIRST_TOP) for each in self._trials)

    def values(self, rung: int) -> dict[int, float]:
        """By number, of the trials that have come to it."""
        name = f"{RUNG}{rung}"
        came = (each for each in self._trials if name in each.system_attrs)
        return {each.number: self.sign * each.system_attrs[name] for each in came}

    @property
    def noise(self) -> float:
        """By how much trials at the top may differ and count as equal, in units of the metric."""
        return noise([self._trials[number].intermediate_values for number in _best(self.values(self.top))])

    @property
    def settled(self) -> bool:
        """Whether no two at the top had another order below, with more than noise between them."""
        there, below, noise = self.values(self.top), self.values(self.top - 1), self.noise
        best = _best(there)
        return not any(below[a] < below[b] - noise and there[a] > there[b] for a in best for b in best)


def noise(curves: Sequence[Mapping[int, float]]) -> float:
    """Of values by step. 0 where no two curves cross to and fro."""
    steps = sorted({step for curve in curves for step in curve})
    value_TS = np.array([[curve.get(step, np.nan) for step in steps] for curve in curves])
    between = []
    for one in range(len(curves)):
        for difference_S in value_TS[:one] - value_TS[one]:
            difference = difference_S[np.isfinite(difference_S) & (difference_S != 0)]
            if np.count_nonzero(np.diff(np.sign(difference))) >= 2:
                between.append(abs(float(difference[-1])))
    return float(np.percentile(between, PERCENTILE)) if between else 0.0


def settled_in_words(study: Study, trial: FrozenTrial) -> str:
    """Of a trial just ended, why, as Pruner.why says it; '' where the order at the top had no part in it."""
    ladder = Ladder(study)
    came = ladder.values(ladder.top)
    if trial.number not in came:
        return ""
    best, noise = ladder.sign * min(came.values()), ladder.noise
    behind = f"more than the noise of {noise:.3g} behind" if noise else "behind"
    order = f"their order is that of rung {ladder.top - 1}"
    return f" is {behind} {best:.6g}, the best of the {len(came)} trials at rung {ladder.top}, and {order}"


def _best(values: Mapping[int, float]) -> list[int]:
    return sorted(values, key=lambda number: (values[number], number))[:MOST_COMPARED]
