"""The trials as a frame, a row a trial: what its search saw of it, how it ended, where and when it ran."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from dashboard.frame import Words
from dashboard.values import missing, shown
from sweeper.store.followed import Latest
from sweeper.store.records import TrialRecord

COLUMNS = (
    *("trial", "called", "configuration", "role", "number", "state", "value", "reached", "first", "steps"),
    *("worker", "attempt", "started", "ended", "hover"),
)
OF_SEARCH = ("baseline", "search")  # roles of the trials that the search knows


def from_trials(
    trials: Mapping[int, TrialRecord],
    latest: Mapping[int, Latest],
    values: Mapping[int, Mapping[str, Any]],
    metric: str,
) -> pd.DataFrame:
    """In the order of their numbers. Repeats, which nobody ran, are left out.

    value: the best of the metric that the trial reported, NaN where it reported none. reached: its last step.
    hover: Words, made where they are drawn.
    """
    rows, said = [], partial(hover, metric)
    for trial in sorted(trials.values(), key=lambda trial: (trial.called, trial.id)):
        if trial.repeat_of is not None:
            continue
        mine = latest.get(trial.id)
        best = None if mine is None else mine.best_of(metric)
        value = np.nan if best is None else best
        first = values.get(trial.configuration, {}).get("pretrain.steps", 0)
        reached = max(mine.step) if mine else first
        rows.append(
            (
                *(trial.id, trial.called, trial.configuration, trial.role, trial.number, trial.state),
                *(value, reached, first, trial.steps, trial.worker, trial.attempt),
                *(trial.started, trial.ended, Words(said, trial, value)),
            )
        )
    floats = dict.fromkeys(("value", "started", "ended", "number"), float)
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(floats)


def hover(metric: str, trial: TrialRecord, value: float) -> str:
    """What is said of a trial where its mark is pointed at."""
    facts = [
        f"trial {trial.called}: configuration {trial.configuration}, seed {trial.seed}, {trial.role}",
        f"{trial.state}, {metric} {'–' if missing(value) else shown(value)}",
        *(f"{name} = {shown(each)}" for name, each in trial.params.items() if not missing(each)),
        *([trial.reason] if trial.reason else []),
    ]
    return "\n".join(facts)


def of_search(runs: pd.DataFrame) -> pd.DataFrame:
    """Those that the search learned from: its baselines' first seeds and what it proposed."""
    return runs[runs["role"].isin(OF_SEARCH) & runs["number"].notna()]
