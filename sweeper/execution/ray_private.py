"""Which names that Ray keeps for itself are used here, and for what? Read from Ray 2.60.

No other file uses one. tests/sweeper/execution/test_ray_private.py holds each against the Ray that is there.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partialmethod
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray._private import ray_constants
from ray._private import worker as ray_worker
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray._private.services import canonicalize_bootstrap_address_or_die
from ray._raylet import AuthenticationTokenLoader  # type: ignore[attr-defined]
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.tune.experiment import Trial

READ_FROM = "2.60"


def listen_on_loopback() -> None:
    """Ray's switch for laptops, where it is off and keeps a firewall from asking: no cluster, so loopback.

    Ray's processes read it from the environment; Ray in this process did so when it was imported.
    """
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False


def forget_token() -> None:
    """The token is read from the environment anew: Ray remembers the one of a Ray before this one."""
    AuthenticationTokenLoader.instance().reset_cache()


def start_in(folder: Path, **options: Any) -> None:
    """ray.init, with Ray's files in the folder, and without three processes that nobody here asks for
    anything: what makes a cluster larger, what takes jobs from elsewhere, what carries workers' output to a
    driver that does not want it. Each imports Ray while workers do, and has 80 to 100 MB; ray.init waits for
    the second to say where it is, ray.shutdown a second for the first."""
    unwanted = {"no_monitor": True, "include_log_monitor": False}
    with (
        patched(RayParams, "__init__", partialmethod(RayParams.__init__, **unwanted)),
        patched(Node, "start_api_server", lambda self, **options: None),
    ):
        ray.init(_temp_dir=str(folder), **options)


@contextmanager
def patched(owner: type, name: str, value: Any) -> Iterator[None]:
    known = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, known)


def head_of(address: str) -> str:
    """HOST:PORT for `auto`, or for a HOST:PORT. Raises ConnectionError or ValueError where there is none."""
    head: str = canonicalize_bootstrap_address_or_die(address)
    return head


def take_lost_workers_for_dead() -> None:
    """Tune ends the run where a worker is lost otherwise than it expects: by Ray's own memory killer, for
    one (OutOfMemoryError), or with its result. Tune is told that an actor has died.
    """
    known: Any = RayActorManager._actor_task_failed
    if known.__name__ == "failed":  # this was done
        return

    def failed(self: Any, tracked_actor_task: Any, exception: Exception) -> None:
        unexpected = isinstance(exception, RayError) and not isinstance(exception, RayTaskError)
        if unexpected and not isinstance(exception, RayActorError):
            exception = RayActorError(error_msg=str(exception))
        known(self, tracked_actor_task, exception)

    setattr(RayActorManager, known.__name__, failed)


class Made(NamedTuple):
    """An actor of Tune's."""

    number: int  # among all of them
    actor: Any


def actor_of(controller: Any, trial: Any) -> Made | None:
    """The actor that a trial has, which may not have become ready yet; None where its place is not there yet.

    controller: as a scheduler is handed it. Tune keeps a pending trial's place and its actor apart, and shows
    neither: `trial.status` is PENDING from the first wish for a place to the actor's first answer.
    """
    tune = controller._tune_controller
    tracked = tune._trial_to_actor.get(trial)
    held = tune._actor_manager._live_actors_to_ray_actors_resources.get(tracked)
    return None if held is None else Made(tracked.actor_id, held[0])


def print_to_its_log() -> None:
    """What Ray would print on stdout, that a node or a worker has died and how, goes where the rest of its
    chatter goes. After ray.init."""

    def heard(data: Mapping[str, Any], ignore_prefix: bool = False) -> None:
        logging.getLogger("ray").warning("%s", "\n".join(data["lines"]))

    ray_worker.print_to_stdstream = heard


def lighten(trial: Trial) -> None:
    """Tune keeps each of its trials until the run ends, with all that it was given, all that it said last and
    what each number in it was before: some 60 kB. Of one that has ended nobody asks for any of it here."""
    trial.config.clear()
    trial.evaluated_params.clear()
    trial.experiment_tag = ""
    said = trial.run_metadata
    # Not empty: for a trial without a result Tune asks its worker, which has another one by now.
    said.last_result = {"done": True}
    said.metric_analysis.clear()
    said.metric_n_steps.clear()
