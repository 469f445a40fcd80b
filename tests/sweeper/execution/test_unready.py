"""A worker that hangs while it is made ready is ended, and another takes its job: no fault of the trial's."""

from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.tune.execution.tune_controller import TrialRunnerWrapper, TuneController

from sweeper.execution.ray_private import Made, actor_of
from sweeper.store.queries import Reader
from tests.sweeper.driving import make_spec, run_to_end, told
from tests.sweeper.execution.test_kill import TEXT
from tests.sweeper.processes import Work, end_of

HANGING = "import runpy; runpy.run_module('tests.sweeper.hanging', run_name='__main__', alter_sys=True)"


def run(work: Work, hangs: str) -> tuple[int, str]:
    """Workers do not step back behind what else this machine does: three are made one after another."""
    return end_of(work.start(TEXT, code=HANGING, FAKE_HANGS=hangs, RAY_worker_niceness="0"), patience=560)


def events(work: Work, kind: str) -> list[str]:
    with closing(Reader(work.url)) as reader:
        return [event.text for event in reader.events(1, limit=1000) if event.kind == kind]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("hangs", ["setup:1", "reset_config:1"])
def test_one_that_hangs_is_replaced_and_the_sweep_is_as_if_it_never_had(hangs: str, tmp_path: Path) -> None:
    whole, hung = Work(tmp_path / "whole"), Work(tmp_path / "hung")
    whole.place.mkdir()
    hung.place.mkdir()
    run_to_end(whole.url, make_spec(text=TEXT), whole.files)

    code, output = run(hung, hangs)
    assert code == 0, output
    assert told(hung.url) == told(whole.url)
    (said,) = events(hung, "unready")
    assert said.endswith(
        " waits for another worker: its own never became ready (no sign of life for 0:03) and was ended"
    )
    assert said in output
    assert not events(hung, "lost") + events(hung, "silent")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_where_none_becomes_ready_the_driver_stops_with_a_sentence(tmp_path: Path) -> None:
    work = Work(tmp_path)
    code, output = run(work, "setup:9")
    assert code == 7, output
    sentence = "no worker becomes ready: 3, one after another, gave no sign of life"
    assert f"{sentence}; to go on: python -m sweeper resume test" in output
    assert "Traceback" not in output
    assert len(events(work, "unready")) == 2
    run_to_end(work.url, make_spec(text=TEXT), work.files)
    assert told(work.url)["sweep"][0] == "complete", "nobody is the worse for it"


# --- what Tune knows and does not show ------------------------------------------------------------
def test_a_trial_has_an_actor_from_the_moment_that_it_has_a_place() -> None:
    manager = RayActorManager(resource_manager=None)  # type: ignore[arg-type]
    assert manager._live_actors_to_ray_actors_resources == {}
    controller = SimpleNamespace(_trial_to_actor=dict[str, Any](), _actor_manager=manager)
    wrapped: Any = TrialRunnerWrapper(controller, None)  # type: ignore[arg-type]
    assert actor_of(wrapped, "trial") is None, "it is not asked for"
    tracked = TrackedActor(7)
    controller._trial_to_actor["trial"] = tracked
    assert actor_of(wrapped, "trial") is None, "its place is not there"
    manager._live_actors_to_ray_actors_resources[tracked] = ("actor", "place")  # type: ignore[assignment]
    assert actor_of(wrapped, "trial") == Made(7, "actor")


def test_tune_keeps_a_trials_actor_under_the_name_that_is_read() -> None:
    assert "_trial_to_actor" in TuneController.__init__.__code__.co_names
