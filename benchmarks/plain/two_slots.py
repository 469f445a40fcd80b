"""How does one start Ray to try something? On two CPUs, for as long as a context lasts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def two_slots(folder: Path) -> Iterator[None]:
    """folder: for Ray's files; its path is short, for Ray keeps sockets in it."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray

    from sweeper.execution.ray_private import start_in

    start_in(folder, address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()
