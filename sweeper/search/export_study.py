"""A sweep's search in a database of Optuna's, for optuna-dashboard and Optuna's plots. Written once.

Nothing reads it back: the sweep's own store stays the only truth.
"""

import warnings

import optuna
from optuna.exceptions import DuplicatedStudyError

from sweeper.results.leaderboard import metrics_of
from sweeper.search.study import best_values, directions, frozen
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord


class CannotExport(ValueError):
    """Why, as one sentence, without the URL: it may hold a password."""


def export_study(reader: Reader, sweep: SweepRecord, url: str) -> int:
    """Numbers, parameters, distributions, values, states and the first metric by step; returns the trials.

    Trials outside the study (baselines, replicates, confirmations) are left out. Raises CannotExport.
    """
    metrics = metrics_of(sweep)
    values = best_values(reader, sweep, metrics)
    studied = [trial for trial in reader.trials(sweep.id) if trial.number is not None]
    studied.sort(key=lambda trial: trial.number or 0)
    shown = {trial.id: trial.repeat_of or trial.id for trial in studied}
    curves = reader.curve(sorted(set(shown.values())), metrics[0])
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        storage = optuna.storages.RDBStorage(url)
    except Exception as error:  # SQLAlchemy's, a driver's or Alembic's
        raise CannotExport(f"Optuna cannot open this database: {type(error).__name__}") from None
    try:
        study = optuna.create_study(
            storage=storage, study_name=sweep.name, directions=directions(metrics), load_if_exists=False
        )
    except DuplicatedStudyError:
        raise CannotExport(f"there is a study named {sweep.name} in this database already") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names(metrics)
        study.add_trials([frozen(t, values.get(shown[t.id]), dict(curves[shown[t.id]])) for t in studied])
    except BaseException as error:
        optuna.delete_study(study_name=sweep.name, storage=storage)  # whole or not at all
        if isinstance(error, ValueError):
            raise CannotExport(f"Optuna does not take this search: {error}") from None
        raise
    return len(studied)
