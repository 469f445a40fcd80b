"""How is a Ray of one driver started? It listens on loopback only, and answers to nobody without its token.

Ray on a cluster is another matter: docs/security.md.
"""

import math
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray

from sweeper.execution.ray_private import (
    forget_token,
    listen_on_loopback,
    print_to_its_log,
    start_in,
)
from sweeper.planning.machine import Slots, slots_for
from sweeper.spec.sections import Resources

OBJECT_STORE = 100 << 20  # bytes: only configurations and metric rows travel
PATIENCE = 120.0  # seconds for a worker that imports torch on a busy machine
TOKEN = "RAY_AUTH_TOKEN"  # of the environment, where the same user alone can read it


class LocalRay:
    """A Ray that this driver starts and ends."""

    def slots(self, resources: Resources, files: str) -> Slots:
        """Raises LacksError where not even one fits."""
        return slots_for(resources)

    def start(self, slots: Slots, place: Path, give_up: Callable[[str], None]) -> None:
        """place: closed to others, for Ray's files. (The watchdog sees when it has died.)"""
        start(slots, place / "r")

    def stop(self) -> None:
        """Nothing happens where it was not started."""
        stop()


def start(slots: Slots, folder: Path) -> None:
    """A head node without a dashboard, and a token that is this call's own.

    folder: for Ray's files. Ray lets everybody write into it, so its parent must be closed to others.
    """
    listen_on_loopback()
    os.environ.pop("RAY_AUTH_MODE", None)  # `disabled` would count; with none, ray.init asks for tokens
    os.environ[TOKEN] = secrets.token_hex(32)
    forget_token()
    start_in(
        folder,
        address="local",
        num_cpus=math.ceil(slots.number * slots.cpu),
        num_gpus=math.ceil(slots.number * slots.gpu),
        object_store_memory=OBJECT_STORE,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
    )
    print_to_its_log()


def stop() -> None:
    ray.shutdown()
    os.environ.pop(TOKEN, None)


def try_out(slots: Slots, folder: Path, question: Callable[[], Any]) -> Any:
    """Starts Ray, has a worker answer the question, and stops it. folder: as for `start`."""
    start(slots, folder)
    try:
        asked = ray.remote(question).options(num_cpus=slots.cpu, num_gpus=slots.gpu).remote()
        return ray.get(asked, timeout=PATIENCE)
    finally:
        stop()
