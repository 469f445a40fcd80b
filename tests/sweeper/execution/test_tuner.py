"""What Tune does on its own is switched off."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.utils.callback import _create_default_callbacks

from sweeper.execution import tuner
from sweeper.execution.local_ray import LocalRay
from sweeper.execution.tuner import DRIVER_ENVIRONMENT, Executor
from sweeper.execution.watchdog import Watchdog
from sweeper.planning.machine import LacksError, Slots
from tests.sweeper.driving import make_spec, run_to_end, told
from tests.sweeper.execution.test_kill import TEXT
from tests.sweeper.processes import Work, end_of


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


class SlowRay(LocalRay):
    """One whose node is up too late so many times."""

    def __init__(self, times: int):
        self.failures, self.starts, self.stops = times, 0, 0

    def start(self, slots: Slots, place: Path, give_up: Callable[[str], None]) -> None:
        self.starts += 1
        if self.starts <= self.failures:
            raise Exception("The current node timed out during startup")

    def stop(self) -> None:
        self.stops += 1


@pytest.mark.parametrize("times", range(4))
def test_ray_is_started_again_where_a_busy_machine_was_too_slow(times: int, tmp_path: Path) -> None:
    slow, watchdog = SlowRay(times), Watchdog("resume")
    if times < tuner.STARTS:
        tuner.start(slow, Slots(1, 1, 0), tmp_path, watchdog)
    else:
        with pytest.raises(LacksError, match="not start on this machine: The current node timed"):
            tuner.start(slow, Slots(1, 1, 0), tmp_path, watchdog)
    assert slow.starts == min(times + 1, tuner.STARTS)
    assert slow.stops == times, "what had begun is ended before the next"


@pytest.mark.long
def test_where_ray_does_not_start_a_sweep_says_so_and_how_it_goes_on(tmp_path: Path) -> None:
    code = "import runpy; from sweeper.execution import local_ray\n"
    code += "def fails(*_): raise RuntimeError('no')\n"
    code += "local_ray.start = fails\n"
    code += "runpy.run_module('tests.sweeper.drive', run_name='__main__', alter_sys=True)"
    work = Work(tmp_path)
    exit_code, said = end_of(work.start(TEXT, code=code))
    assert exit_code == 7, said
    assert "Ray does not start on this machine: no; to go on: python -m sweeper resume" in said
    assert "Traceback" not in said
    run_to_end(work.url, make_spec(text=TEXT), work.files)
    assert told(work.url)["sweep"][0] == "complete"
