"""What to try next: an Optuna study that lives in memory and is rebuilt from the stored trials.

With one slot, the proposals after any kill are those of a run that nobody killed. It takes four things:
trials are added in the order of their numbers; Optuna's own attributes come back with them; the study is
named after the sweep; and every ask has a sampler of its own, seeded by the search's seed and the number.
"""

import hashlib
import logging
import math
import warnings
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import optuna
from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from sweeper.spec import SweepSpec
from sweeper.store.records import TrialRecord
from trainer.metrics import BY_NAME

UNFINISHED = ("queued", "running")


class Proposal(NamedTuple):
    """A trial of the study, as it is stored; of a trial outside the study, number is None."""

    number: int | None
    params: dict[str, Any]
    distributions: dict[str, str]
    system_attrs: dict[str, Any]


class Proposals:
    """Ask and tell. Numbers count up from 0 without a gap."""

    def __init__(self, spec: SweepSpec, trials: Iterable[TrialRecord], values: Mapping[int, float]):
        """trials: the sweep's, those outside the study are passed over; values: the best by trial id."""
        optuna.logging.enable_propagation()
        optuna.logging.disable_default_handler()
        logging.getLogger("optuna").setLevel(logging.WARNING)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._spec, self._sampler = spec, spec.search.sampler
        lower = BY_NAME[spec.metric].direction == "min"
        direction = StudyDirection.MINIMIZE if lower else StudyDirection.MAXIMIZE
        self._study = optuna.create_study(study_name=spec.name, direction=direction)
        self._points = fixed_points(spec)
        studied = sorted((t for t in trials if t.number is not None), key=lambda trial: trial.number or 0)
        self._study.add_trials([_frozen(trial, values.get(trial.repeat_of or trial.id)) for trial in studied])
        self.count = len(studied)

    @property
    def exhausted(self) -> bool:
        """A list of points, or a grid, has been proposed to its end."""
        return self._sampler in ("grid", "fixed") and self.count >= len(self._points)

    def ask(self) -> Proposal:
        self._study.sampler = _sampler(self._sampler, self._spec.search.seed, self.count)
        if self.count < len(self._points):
            self._study.enqueue_trial(dict(self._points[self.count]))
        trial = self._study.ask()
        assert trial.number == self.count
        self._spec.space.suggest(trial)
        self.count += 1
        frozen = self._study.get_trials(deepcopy=False)[trial.number]
        distributions = {name: distribution_to_json(each) for name, each in frozen.distributions.items()}
        return Proposal(trial.number, dict(frozen.params), distributions, dict(frozen.system_attrs))

    def tell(self, number: int, value: float | None) -> None:
        """None: it failed, or was stopped. Optuna refuses NaN, so it is never told one."""
        if value is None or not math.isfinite(value):
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, value)


def fixed_points(spec: SweepSpec) -> list[Mapping[str, Any]]:
    """Proposed before anything is sampled: the spec's own points, then a grid's."""
    grid = list(spec.space.points()) if spec.search.sampler == "grid" else []
    return [*spec.search.points, *grid]


def _sampler(name: str, seed: int, number: int) -> BaseSampler:
    fresh = int.from_bytes(hashlib.sha256(f"{seed}/{number}".encode()).digest()[:4], "big")
    if name == "tpe":
        return TPESampler(seed=fresh, multivariate=True, group=True, constant_liar=True)
    return RandomSampler(seed=fresh)  # of a grid or a list: only what a point leaves open


def _frozen(trial: TrialRecord, value: float | None) -> FrozenTrial:
    if trial.state in UNFINISHED:
        state, value = TrialState.RUNNING, None
    elif trial.state == "complete" and value is not None:
        state = TrialState.COMPLETE
    else:
        state, value = TrialState.FAIL, None
    return create_trial(
        state=state,
        value=value,
        params=trial.params,
        distributions={name: json_to_distribution(text) for name, text in trial.distributions.items()},
        system_attrs=trial.system_attrs,
    )
