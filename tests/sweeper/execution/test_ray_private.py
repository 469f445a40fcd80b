"""The names that Ray keeps for itself, held against the Ray that is installed: is each still what it was?"""

import ast
import inspect
import subprocess
import sys
import tempfile
from importlib import import_module
from importlib.metadata import version
from typing import Any
from unittest import mock

import pytest
import ray
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution._internal.tracked_actor import TrackedActor
from ray.air.execution._internal.tracked_actor_task import TrackedActorTask
from ray.tune.experiment import Trial

from sweeper.execution.ray_private import lighten, take_lost_workers_for_dead
from tests.sweeper.processes import ROOT

HOME = "sweeper/execution/ray_private.py"
LOOK = f"read it anew in the source of this version, then mend {HOME} and say there which version it is"


def found(module: str, name: str) -> Any:
    value = import_module(module)
    for part in name.split("."):
        value = getattr(value, part, None)
        assert value is not None, f"{module} of Ray {version('ray')} has no {name} any more: {LOOK}"
    return value


def test_the_names_were_read_from_the_version_that_is_installed() -> None:
    read_from = found("sweeper.execution.ray_private", "READ_FROM")
    minor = ".".join(version("ray").split(".")[:2])
    assert minor == read_from, f"{HOME} was read from Ray {read_from}, and this is {minor}: look at each name"


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [
        ("ray._private.services", "canonicalize_bootstrap_address_or_die", ["addr", "temp_dir"]),
        ("ray._private.worker", "print_to_stdstream", ["data", "ignore_prefix"]),
        (
            *("ray._private.node", "Node.start_api_server"),
            ["self", "include_dashboard", "raise_on_failure"],
        ),
        ("ray._raylet", "AuthenticationTokenLoader.instance", []),
        ("ray._raylet", "AuthenticationTokenLoader.reset_cache", ["self"]),
        (
            *("ray.air.execution._internal.actor_manager", "RayActorManager._actor_task_failed"),
            ["self", "tracked_actor_task", "exception"],
        ),
        # Of tests/sweeper/clusters.py alone.
        ("ray._private.utils", "write_ray_address", ["ray_address", "temp_dir"]),
    ],
)
def test_a_function_takes_what_it_took(module: str, name: str, parameters: list[str]) -> None:
    takes = list(inspect.signature(found(module, name)).parameters)
    assert takes == parameters, f"{module}.{name} takes {takes} in Ray {version('ray')}: {LOOK}"


def test_ray_prints_by_the_name_that_is_replaced() -> None:
    calls = _callers("ray._private.worker", "print_to_stdstream")
    assert calls, f"ray._private.worker calls no print_to_stdstream in Ray {version('ray')}: {LOOK}"


def _callers(module: str, name: str) -> list[int]:
    """Lines at which the module itself calls its function by that name, as it is at that moment."""
    tree = ast.parse(inspect.getsource(import_module(module)))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if isinstance(call.func, ast.Name) and call.func.id == name]


def test_the_switch_for_laptops_is_there() -> None:
    assert found("ray._private.ray_constants", "ENABLE_RAY_CLUSTERS_ENV_VAR") == (
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    ), LOOK
    assert isinstance(found("ray._private.ray_constants", "ENABLE_RAY_CLUSTER"), bool), LOOK


def test_ray_takes_the_folder_for_its_files() -> None:
    source = inspect.getsource(inspect.unwrap(found("ray", "init")))
    assert '"_temp_dir"' in source, f"ray.init takes no _temp_dir in Ray {version('ray')}: {LOOK}"


def test_a_ray_of_our_own_starts_nothing_that_serves_others() -> None:
    """And what was replaced for it is as it was. In a process of its own: a Ray that was leaves traces."""
    code = (
        "import sys, ray; from pathlib import Path; from ray._private import node, parameter, worker\n"
        "from sweeper.execution.local_ray import start, stop; from sweeper.planning.machine import Slots\n"
        "known = node.Node.start_api_server, parameter.RayParams.__init__\n"
        "start(Slots(1, 1, 0), Path(sys.argv[1]))\n"
        "assert (node.Node.start_api_server, parameter.RayParams.__init__) == known\n"
        "print(sorted(worker._global_node.all_processes), ray.get(ray.remote(lambda: 7).remote()))\n"
        "stop()\n"
    )
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as place:  # the names of sockets are short
        done = subprocess.run(
            [sys.executable, "-c", code, f"{place}/r"], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
    assert done.stdout.decode() == "['gcs_server', 'raylet'] 7\n", LOOK


def test_no_other_file_names_what_is_rays_own() -> None:
    """By import, by attribute and by keyword."""
    loose = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("sweeper", "trainer", "dashboard", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if str(path.relative_to(ROOT)) != HOME
        for node in ast.walk(ast.parse(path.read_text()))
        if _is_private(node)
    ]
    assert not loose, f"private names of Ray stand in {HOME} alone"


def _is_private(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        parts = [*str(node.module).split("."), *(alias.name for alias in node.names)]
        return parts[0] == "ray" and any(part.startswith("_") for part in parts)
    if isinstance(node, ast.Import):
        return any(alias.name.startswith("ray._") for alias in node.names)
    if isinstance(node, ast.Attribute):
        return ast.unparse(node).startswith(("ray._", "tune._"))
    is_init = isinstance(node, ast.Call) and ast.unparse(node.func) == "ray.init"
    return is_init and any(str(word.arg).startswith("_") for word in node.keywords)


LOST = [ray.exceptions.OutOfMemoryError("killed"), ray.exceptions.WorkerCrashedError()]


@pytest.mark.parametrize("lost", LOST, ids=["memory killer", "crashed"])
def test_a_worker_that_is_lost_in_another_way_is_dead_to_tune(lost: Exception) -> None:
    """By Ray's own memory killer, for one. Tune itself would end the run with a RuntimeError."""
    for _ in range(2):  # the second time changes nothing
        take_lost_workers_for_dead()
    told: list[tuple[str, Exception]] = []
    manager = RayActorManager(resource_manager=mock.Mock())  # one of Ray's own starts a whole Ray
    actor = TrackedActor(1, on_error=lambda _, why: told.append(("actor", why)))
    task = TrackedActorTask(actor, on_error=lambda _, why: told.append(("task", why)))
    with mock.patch.object(manager, "_cleanup_actor"):
        manager._actor_task_failed(tracked_actor_task=task, exception=lost)
        with pytest.raises(RuntimeError, match="unexpected"):
            manager._actor_task_failed(tracked_actor_task=task, exception=KeyError("none of Ray's"))
    assert [who for who, _ in told] == ["actor", "task"]
    for _, why in told:
        assert isinstance(why, ray.exceptions.RayActorError)
        assert str(lost) in str(why)


def test_of_a_trial_that_has_ended_tune_keeps_little() -> None:
    """Neither what it was given, nor what it said; and Tune asks no worker for it."""
    much = "w" * 10_000
    given = {"job": much}
    trial = Trial("worker", stub=True, config=dict(given), evaluated_params=dict(given), experiment_tag=much)
    for step in range(3):
        trial.update_last_result({"news": much, "config": given, "number": step, "training_iteration": step})
    assert much in str(_kept_by(trial)), f"Tune keeps none of it by itself: {LOOK}"
    trial.temporary_state.ray_actor = worker = mock.Mock()
    lighten(trial)
    assert len(str(_kept_by(trial))) < 2000, LOOK
    assert trial.last_result["done"]
    assert not worker.mock_calls
    assert not trial.metric_analysis


def _kept_by(trial: Trial) -> list[dict[str, Any]]:
    return [vars(trial), vars(trial.run_metadata)]
