"""What Tune does on its own is switched off."""

from pathlib import Path
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.utils.callback import _create_default_callbacks

from sweeper.execution import tuner
from sweeper.execution.tuner import DRIVER_ENVIRONMENT, Executor
from sweeper.planning.machine import Slots


def test_tune_says_nothing_of_a_trial_that_is_stopped_before_its_first_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tune is asked, by the name that `Tuner.fit` asks by, which callbacks it makes of those it is given."""
    for name, value in DRIVER_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tuner.tune, "Tuner", lambda *_, **given: given["run_config"])
    executor: Any = Executor(None, Slots(1, 1, 0), tmp_path, None)  # type: ignore[arg-type]
    callbacks = _create_default_callbacks(executor._tuner(None).callbacks)
    assert [isinstance(each, TrialProgressCallback) for each in callbacks] == [True]

    trial = Trial("Worker", stub=True)
    TrialProgressCallback().on_trial_complete(1, [trial], trial)
    assert "completed" in capsys.readouterr().out, "there is something to be switched off"
    callbacks[0].on_trial_complete(1, [trial], trial)
    assert capsys.readouterr().out == ""
