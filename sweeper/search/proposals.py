"""What to try next: an Optuna study that lives in memory and is rebuilt from the stored trials.

With one slot, the proposals after any kill are those of a run that nobody killed. It takes four things:
trials are added in the order of their numbers; Optuna's own attributes come back with them; the study is
named after the sweep; and every ask has a sampler of its own, seeded by the search's seed and the number.

What breaks a constraint is refused, and asked for again with a seed of its own. What a model proposed and
was refused is kept with the trial that came of it, as a bad one: else the model, which knows of nothing bad
there, would go on proposing it (measured: 50 tries a proposal, and 1 to 3 with it).
"""

import hashlib
import logging
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from sweeper.search.study import directions
from sweeper.spec.spec import SweepSpec
from sweeper.store.records import ForeignTrial, TrialRecord
from sweeper.strategies.samplers import Random
from sweeper.strategies.shown import DEVIATIONS

UNFINISHED = ("queued", "running", "paused")
SAMPLED, AT_RANDOM = 20, 980  # tries for a point that satisfies the constraints: by the sampler, then blindly
REFUSED = "refused"  # among a trial's attributes: points


class Proposal(NamedTuple):
    """A trial of the study, as it is stored; of a trial outside the study, number is None."""

    number: int | None
    params: dict[str, Any]
    distributions: dict[str, str]
    system_attrs: dict[str, Any]


class Outcome(NamedTuple):
    """What the study learns of a trial that has ended: nothing of one that failed or was stopped."""

    values: tuple[float, ...] | None = None  # complete: one of each metric
    pruned: tuple[int, float] | None = None  # the last step, and the first metric at it
    deviations: Sequence[float] = ()  # of the first metric, by document; () where they are not known


FAILED = Outcome()


class Proposals:
    """Ask and tell. Numbers count up from 0 without a gap."""

    def __init__(
        self,
        spec: SweepSpec,
        trials: Iterable[TrialRecord],
        outcomes: Mapping[int, Outcome],
        foreign: Sequence[ForeignTrial] = (),
    ):
        """trials: the sweep's, those outside the study are passed over; outcomes: by trial id.

        foreign: of other sweeps, known before number 0.
        """
        optuna.logging.enable_propagation()
        optuna.logging.disable_default_handler()
        logging.getLogger("optuna").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._spec, self._sampler = spec, spec.search.strategy
        self._storage = self._sampler.storage()
        self._study = optuna.create_study(
            study_name=spec.name, storage=self._storage, directions=directions(spec.metrics)
        )
        self._id = self._storage.get_study_id_from_name(spec.name)
        self._points = [*spec.search.points, *self._sampler.points(spec.space)]
        self._ends = self._sampler.lists
        for each in foreign:
            self._add(each.params, TrialState.COMPLETE, each.values, self._sampler.foreign())
        # Of each number the one it has in the study: another, for foreign trials and what was refused.
        self._in_study: list[int] = []
        count = len(foreign)
        for trial in sorted((t for t in trials if t.number is not None), key=lambda t: t.number or 0):
            refused = trial.system_attrs.get(REFUSED, [])
            for point in refused:
                self._add(point, TrialState.PRUNED)
            outcome = outcomes.get(trial.repeat_of or trial.id, FAILED)
            self._study.add_trial(self._frozen(trial, None if trial.state in UNFINISHED else outcome))
            self._in_study.append(count + len(refused))
            count = self._in_study[-1] + 1

    @property
    def count(self) -> int:
        return len(self._in_study)

    @property
    def exhausted(self) -> bool:
        """A list of points, or a grid, has been proposed to its end."""
        return self._ends and self.count >= len(self._points)

    def ask(self) -> Proposal | None:
        """None: no point was found that satisfies the constraints, nor will one ever be."""
        refused: list[dict[str, Any]] = []
        for tries in range(SAMPLED + AT_RANDOM):
            sampler = self._sampler if tries < SAMPLED else Random()
            seed = _seed(self._spec.search.seed, self.count, tries)
            self._study.sampler = sampler.make(seed, self._spec.space)
            if self.count < len(self._points):
                self._study.enqueue_trial(dict(self._points[self.count]))
            trial = self._study.ask()
            values = self._spec.space.suggest(trial)
            if self._spec.space.broken(values) is None:
                return self._accepted(trial, refused)
            by_a_model = bool(self._frozen_at(trial.number).system_attrs)
            refused += [values] if by_a_model else []
            self._study.tell(trial, state=TrialState.PRUNED if by_a_model else TrialState.FAIL)
        return None

    def _accepted(self, trial: optuna.Trial, refused: list[dict[str, Any]]) -> Proposal:
        _ = trial.relative_params  # a point asks for none; but NSGA-II counts a trial when it is asked
        frozen = self._frozen_at(trial.number)
        distributions = {name: distribution_to_json(each) for name, each in frozen.distributions.items()}
        attributes = {**frozen.system_attrs, **({REFUSED: refused} if refused else {})}
        proposal = Proposal(self.count, dict(frozen.params), distributions, attributes)
        self._in_study.append(trial.number)
        return proposal

    def tell(self, number: int, outcome: Outcome) -> None:
        """Of a trial that was asked for, once. Optuna refuses NaN, so it is never told one."""
        in_study = self._in_study[number]
        state, values, reached = self._told(outcome)
        for step, value in reached.items():
            self._storage.set_trial_intermediate_value(self._trial_id(in_study), step, value)
        for name, value in _noted(outcome).items():
            self._storage.set_trial_system_attr(self._trial_id(in_study), name, value)
        self._study.tell(in_study, values if state == TrialState.COMPLETE else None, state)

    def _trial_id(self, in_study: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, in_study)

    def _frozen_at(self, in_study: int) -> FrozenTrial:
        return self._storage.get_trial(self._trial_id(in_study))

    def _told(self, outcome: Outcome) -> tuple[TrialState, list[float] | None, dict[int, float]]:
        """State, values, and the values on the way, as Optuna wants them."""
        single = len(self._spec.metrics) == 1
        if outcome.values is not None and all(map(math.isfinite, outcome.values)):
            return TrialState.COMPLETE, list(outcome.values), {}
        if outcome.pruned is None or not math.isfinite(outcome.pruned[1]):
            return TrialState.FAIL, None, {}
        # Of several metrics Optuna's samplers take no value on the way: the trial is among the bad ones.
        step, value = outcome.pruned
        return (TrialState.PRUNED, [value], {step: value}) if single else (TrialState.PRUNED, None, {})

    def _frozen(self, trial: TrialRecord, outcome: Outcome | None) -> FrozenTrial:
        """outcome: None while it runs."""
        running: tuple[TrialState, list[float] | None, dict[int, float]] = (TrialState.RUNNING, None, {})
        state, values, reached = running if outcome is None else self._told(outcome)
        return create_trial(
            state=state,
            values=values,
            params=trial.params,
            distributions={name: _distribution(text) for name, text in trial.distributions.items()},
            system_attrs={**trial.system_attrs, **_noted(outcome)},
            intermediate_values=reached,
        )

    def _add(
        self,
        point: Mapping[str, Any],
        state: TrialState,
        values: Sequence[float] | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """A trial of which no more than its point is known, which need not satisfy the constraints."""
        asked = FixedTrial(dict(point))
        self._spec.space.suggest(asked)
        self._study.add_trial(
            create_trial(
                state=state,
                values=values,
                params=asked.params,
                distributions=asked.distributions,
                system_attrs=dict(attributes or {}),
            )
        )


def _noted(outcome: Outcome | None) -> dict[str, Any]:
    """Attributes of the study's trial. They are not stored: they come of what is."""
    return {DEVIATIONS: list(outcome.deviations)} if outcome is not None and outcome.deviations else {}


def _seed(seed: int, number: int, tries: int) -> int:
    text = f"{seed}/{number}/{tries}" if tries else f"{seed}/{number}"
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


@lru_cache(maxsize=1000)  # a sweep has a few, in each of thousands of trials
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)
