"""Of Tune's trials those that live are looked at, and who was given a job first begins first."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial

from sweeper.execution import tune_adapters
from sweeper.execution.tune_adapters import SchedulerAdapter


class Backend:
    """Where nobody hangs."""

    stopping = False

    def __init__(self, given: list[str]):
        self.given, self.placeless = given, set[str]()

    def turn(self) -> None: ...

    def is_silent(self, tune_id: str) -> bool:
        return False

    def is_unready(self, tune_id: str, actor: int) -> bool:
        return False

    def wait_for_places(self, tune_ids: set[str]) -> None:
        self.placeless = tune_ids

    def first_of(self, tune_ids: Any) -> str | None:
        return next((each for each in self.given if each in tune_ids), None)


def trial(name: str, status: str) -> Any:
    finished = status in (Trial.TERMINATED, Trial.ERROR)
    return SimpleNamespace(trial_id=name, status=status, is_finished=lambda: finished)


class Controller:
    """Tune's, which knows of thousands that have ended: whoever asks for them all, fails."""

    def __init__(self, *live: Any):
        self._live = live

    def get_live_trials(self) -> tuple[Any, ...]:
        return self._live


def chosen(monkeypatch: pytest.MonkeyPatch, given: list[str], *live: Any) -> str | None:
    monkeypatch.setattr(tune_adapters, "actor_of", lambda controller, trial: None)
    found = SchedulerAdapter(Backend(given)).choose_trial_to_run(Controller(*live))  # type: ignore[arg-type]
    return None if found is None else found.trial_id


def test_the_first_that_was_given_a_job_begins_first(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting, running = [trial(name, Trial.PENDING) for name in "cab"], trial("d", Trial.RUNNING)
    assert chosen(monkeypatch, ["d", "b", "a", "c"], running, *waiting) == "b"
    assert chosen(monkeypatch, ["d"], running) is None
    assert chosen(monkeypatch, []) is None
