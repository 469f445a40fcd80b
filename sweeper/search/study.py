"""A sweep's search as an Optuna study, for Optuna's own tools: importances, optuna-dashboard. Read-only use.

The search itself does not need this: it rebuilds its study in sweeper/search/proposals.py.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from optuna.distributions import json_to_distribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord
from trainer.metrics import lower_is_better

STATES = {
    "queued": TrialState.WAITING,
    "paused": TrialState.WAITING,
    "running": TrialState.RUNNING,
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
}  # any other is FAIL


def directions(metrics: Iterable[str]) -> list[StudyDirection]:
    return [StudyDirection.MINIMIZE if lower_is_better(name) else StudyDirection.MAXIMIZE for name in metrics]


def best_values(reader: Reader, sweep: SweepRecord, metrics: list[str]) -> dict[int, list[float]]:
    """By trial, in the order of the metrics: the best, or the latest where a metric has no direction."""
    found: dict[int, dict[str, float]] = {}
    for row in reader.latest(sweep.id):
        found.setdefault(row.trial, {})[row.name] = row.best
    return {
        trial: [values[name] for name in metrics]
        for trial, values in found.items()
        if all(name in values for name in metrics)
    }


def frozen(
    trial: TrialRecord, values: list[float] | None, intermediate: Mapping[int, float] | None = None
) -> FrozenTrial:
    """values: None where it has none; it then counts as failed, if it has ended."""
    state = STATES.get(trial.state, TrialState.FAIL)
    if state == TrialState.COMPLETE and values is None:
        state = TrialState.FAIL
    return FrozenTrial(
        number=trial.number or 0,
        trial_id=trial.id,
        state=state,
        value=None,
        values=values if state == TrialState.COMPLETE else None,
        datetime_start=_time(trial.started or trial.created) if state != TrialState.WAITING else None,
        datetime_complete=_time(trial.ended or trial.created) if state.is_finished() else None,
        params=trial.params,
        distributions={name: json_to_distribution(text) for name, text in trial.distributions.items()},
        user_attrs={
            "trial": trial.id,
            "configuration": trial.configuration,
            "seed": trial.seed,
            "state": trial.state,
            **({"repeat_of": trial.repeat_of} if trial.repeat_of is not None else {}),
            **({"why": trial.error or trial.reason} if trial.error or trial.reason else {}),
        },
        system_attrs=dict(trial.system_attrs),
        intermediate_values=dict(intermediate or {}),
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds)
