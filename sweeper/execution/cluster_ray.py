"""How is a Ray of several machines joined? Somebody else has started it; it is left as it was.

Its ports are open to the network and its token is the user's, from the environment (docs/security.md).
"""

import hashlib
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from sweeper.execution.ray_private import head_of, print_to_its_log
from sweeper.files.snapshots import probe, sees
from sweeper.planning.machine import LacksError, Slots, environment
from sweeper.spec.sections import Resources

NEAR = 5.0  # seconds in which a machine that is there takes up a connection
PATIENCE = 120.0  # seconds for a node to start a worker that answers
NOTICED = 45.0  # seconds in which a node that has died is known to be dead
LOOK = 0.5  # seconds between two looks at whether it is
SILENCE = 30.0  # seconds; after 60 Ray ends the driver by itself, without a word
OF_WORKERS = {"RAY_CHDIR_TO_TRIAL_DIR": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


class ClusterRay:
    """A cluster that runs already. address: auto, or the HOST:PORT of its head."""

    def __init__(self, address: str):
        self._address = address
        self._pulse: Pulse | None = None

    def slots(self, resources: Resources, files: str) -> Slots:
        """Joins. Raises LacksError: it cannot, or a node differs from this one, or does not see `files`."""
        head = find(self._address)
        own = environment(threads=max(1, int(resources.cpu)))
        try:
            ray.init(
                address=head,
                runtime_env={"env_vars": {**OF_WORKERS, **own}},
                log_to_driver=False,
                configure_logging=False,
            )
        except Exception as error:
            raise LacksError(why_not(head, error)) from error
        print_to_its_log()
        slots_on(resources, resources_there())  # raises before anybody is asked to start a worker
        with probe(files) as seen:
            # Twice, if need be: a disk of the network shows what was changed just now a little late.
            wrong = any_disagreement(seen, files) and any_disagreement(seen, files)
        if wrong:
            raise LacksError(wrong)
        return slots_on(resources, resources_there())  # a node may have been found dead

    def start(self, slots: Slots, place: Path, give_up: Callable[[str], None]) -> None:
        """It runs already. give_up: called, from a thread, when its head has died."""
        self._pulse = Pulse(ray.get_runtime_context().gcs_address, give_up)
        self._pulse.start()

    def stop(self) -> None:
        """Leaves it. Nothing happens where it was not joined."""
        if self._pulse is not None:
            self._pulse.rest()
        ray.shutdown()


# --- joining --------------------------------------------------------------------------------------
def find(address: str) -> str:
    """HOST:PORT of a head that takes up connections. Ray itself would try for minutes."""
    try:
        head = head_of(address)
    except (ConnectionError, ValueError) as error:
        raise LacksError(
            f"no Ray cluster was found from here by --address {address}: on its head `ray start --head`, on "
            "each other machine `ray start --address HEAD:6379`, then give HEAD:6379"
        ) from error
    if not answers(head, NEAR):
        raise LacksError(f"nothing answers at {head}: is Ray's head there, and does a firewall let it be?")
    return head


def answers(head: str, patience: float) -> bool:
    """Whether somebody takes up a connection at HOST:PORT."""
    host, _, port = head.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=patience):
            return True
    except OSError:
        return False


def why_not(head: str, error: Exception) -> str:
    """Ray's refusal as one sentence."""
    said = " ".join(str(error).split())
    if "Version mismatch" in said:
        theirs, ours = re.findall(r"Ray: \S+ Python: \S+", said)[:2]
        return f"the cluster at {head} runs {theirs}, and this process {ours}: they must be the same"
    if isinstance(error, ConnectionError):
        return (
            f"the Ray cluster at {head} does not admit this process: most likely its token is another one; "
            "set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the file that the nodes have"
        )
    return f"the Ray cluster at {head} cannot be joined from this machine: {said[:300]}"


def slots_on(resources: Resources, nodes: Iterable[tuple[float, float]]) -> Slots:
    """nodes: the CPUs and GPUs of each. A trial has one GPU where there are any, unless the spec says."""
    nodes = list(nodes)
    gpus = sum(gpu for _, gpu in nodes)
    gpu = (1.0 if gpus else 0.0) if resources.gpu == "auto" else float(resources.gpu)
    fits = sum(_fitting(resources.cpu, gpu, *node) for node in nodes)
    if not fits:
        and_gpus = f" and {gpu:g} GPUs" if gpu else ""
        raise LacksError(f"no node of the cluster has the {resources.cpu:g} CPUs{and_gpus} of a trial")
    number = fits if resources.slots == "auto" else min(resources.slots, fits)
    return Slots(number, resources.cpu, gpu, resources.fused)


def resources_there() -> list[tuple[float, float]]:
    """CPUs and GPUs of each node that is alive, as far as the cluster knows."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [(each.get("CPU", 0.0), each.get("GPU", 0.0)) for each in alive]


def _fitting(cpu: float, gpu: float, cpus: float, gpus: float) -> int:
    fits = int(cpus / cpu + 1e-9)
    if not gpu:
        return fits
    return min(fits, int(gpus / gpu + 1e-9) if gpu >= 1 else int(gpus) * int(1 / gpu + 1e-9))


# --- what is the same everywhere ------------------------------------------------------------------
class Introduction(NamedTuple):
    host: str
    program: str  # a digest of the source
    torch: str
    sees: bool  # the probe


def introduction(seen: str) -> Introduction:
    """Of the machine that it is called on."""
    digest = hashlib.sha256()
    root = Path(__file__).parents[2]
    for file in sorted(file for package in ("sweeper", "trainer") for file in (root / package).rglob("*.py")):
        digest.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    torch = version("torch").partition("+")[0]  # +cpu or +cu130 may differ: a head needs no GPU
    return Introduction(socket.gethostname(), digest.hexdigest()[:12], torch, sees(seen))


def introduce_all(seen: str) -> list[Introduction]:
    """From a worker on each node that may train. One that has died is left out, though the cluster may have
    yet to notice."""
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    ask: Any = ray.remote(num_cpus=0, max_retries=0)(introduction)
    asked = {
        node: ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(seen)
        for node in nodes
    }
    deadline = time.monotonic() + PATIENCE
    found = []
    for node, answer in asked.items():
        host = next(each["NodeManagerHostname"] for each in ray.nodes() if each["NodeID"] == node)
        try:
            found.append(ray.get(answer, timeout=max(1.0, deadline - time.monotonic())))
        except ray.exceptions.GetTimeoutError:
            raise LacksError(f"node {host} has not answered for {PATIENCE:.0f} s") from None
        except Exception as error:
            if not isinstance(error, ray.exceptions.RayTaskError) and _is_gone(node):
                continue
            why = " ".join(str(error).split())[-200:]
            raise LacksError(
                f"node {host} cannot run this program: install the same version in the Python that its Ray "
                f"was started with ({why})"
            ) from error
    return found


def _is_gone(node: str) -> bool:
    """Whether it is found to have died, in the time that the cluster takes to notice."""
    until = time.monotonic() + NOTICED
    while any(each["Alive"] for each in ray.nodes() if each["NodeID"] == node):
        if time.monotonic() > until:
            return False
        time.sleep(LOOK)
    return True


def any_disagreement(seen: str, files: str) -> str:
    nodes = introduce_all(seen)
    return disagreement(introduction(seen), nodes, files)


def disagreement(here: Introduction, nodes: Iterable[Introduction], files: str) -> str:
    """'' where all is the same; else a sentence."""
    for node in nodes:
        if node.program != here.program:
            return f"node {node.host} has another version of this program than {here.host}: install the same"
        if node.torch != here.torch:
            return f"node {node.host} has torch {node.torch} and {here.host} {here.torch}: install the same"
        if not node.sees:
            place = files.partition("?")[0]
            return (
                f"node {node.host} does not see {place}, where checkpoints go: give --files a folder that "
                "all nodes share, or an object store"
            )
    return ""


# --- its life -------------------------------------------------------------------------------------
class Pulse(threading.Thread):
    """Feels for the cluster's head, since Ray's client blocks the main thread when it has died."""

    def __init__(self, head: str, give_up: Callable[[str], None], silence: float = SILENCE):
        super().__init__(name="pulse", daemon=True)
        self._head, self._give_up, self._silence = head, give_up, silence
        self._resting = threading.Event()

    def rest(self) -> None:
        self._resting.set()

    def run(self) -> None:
        felt = time.monotonic()
        while not self._resting.wait(self._silence / 15):
            if answers(self._head, self._silence / 10):
                felt = time.monotonic()
            elif time.monotonic() - felt > self._silence and not self._resting.is_set():
                self._give_up(
                    f"the head of the Ray cluster, {self._head}, has not answered for {self._silence:.0f} s: "
                    "start the cluster anew"
                )
                return
