"""How does Ray Tune ask and report? As a Searcher and a scheduler, which hand everything to the backend.

And it says nothing by itself.
"""

from typing import Any

import ray
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeper.execution.ray_private import actor_of, lighten
from sweeper.execution.trial_backend import TrialBackend


class SearcherAdapter(Searcher):
    def __init__(self, backend: TrialBackend):
        super().__init__()
        self._backend = backend

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it into a snapshot that nobody reads

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        return self._backend.suggest(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler has had it."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if error:
            self._backend.died(trial_id)
        else:
            self._backend.complete(trial_id, result)

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...


class SchedulerAdapter(FIFOScheduler):
    """Every result goes to the backend, which says whether the trial goes on."""

    def __init__(self, backend: TrialBackend):
        super().__init__()
        self._backend = backend

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        return (
            TrialScheduler.CONTINUE if self._backend.receive(trial.trial_id, result) else TrialScheduler.STOP
        )

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Called at every turn of Tune's loop. (Tune's own way to choose goes through all trials that ever
        were: 8 ms a trial at the ten-thousandth.)"""
        self._backend.turn()
        placeless, pending = set[str](), dict[str, Trial]()
        for trial in list(tune_controller.get_live_trials()):
            if trial.is_finished():  # Tune failed to set it up, and has told nobody
                self._backend.died(trial.trial_id)
            elif trial.status == Trial.RUNNING and self._backend.is_silent(trial.trial_id):
                ray.kill(trial.temporary_state.ray_actor)  # Tune sees it die
            elif trial.status == Trial.PENDING and self._backend.stopping:
                tune_controller.stop_trial(trial)  # it has not begun: there is nothing to wait for
            elif trial.status == Trial.PENDING:
                pending[trial.trial_id] = trial
                made = actor_of(tune_controller, trial)
                if made is None:
                    placeless.add(trial.trial_id)
                elif self._backend.is_unready(trial.trial_id, made.number):
                    ray.kill(made.actor)  # the same
        self._backend.wait_for_places(placeless)
        first = self._backend.first_of(pending.keys())
        return None if first is None else pending[first]


class NoProgress(TrialProgressCallback):
    """Tune adds a reporter of its own where it is given none, and that says on stdout, however quiet it was
    told to be, that a trial which was stopped before its first result has "completed".

    It is the last that Tune tells of a trial's end: what Tune keeps of it is made light."""

    def on_trial_result(self, *_: Any, **__: Any) -> None: ...

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        lighten(trial)

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        lighten(trial)
