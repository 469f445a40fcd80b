"""How busy is this worker? Asked of the system now and then; what it does not say is left out."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from sweeper.store.records import USAGE_EVERY, Usage

FIRST = 5.0  # seconds until a worker's first sample
SLACK = 1.0  # seconds: a sample that comes just before the minute is over would be refused by the store


class Sampler:
    """Of this process: its cores in use since the sample before, its memory, and of its card the same.

    Nothing here raises: a run is not to fail for it. Nothing here calls CUDA: a graph may be being captured.
    """

    def __init__(self, gpu: bool, clock: Callable[[], float] = time.monotonic):
        self._gpu, self._clock = gpu, clock
        self._at, self._cpu = clock(), time.process_time()
        self._next = self._at + FIRST

    def due(self) -> Usage | None:
        """A sample, where the last is a minute old."""
        now = self._clock()
        if now < self._next:
            return None
        self._next = now + USAGE_EVERY + SLACK
        cpu = time.process_time()
        cores, self._at, self._cpu = (cpu - self._cpu) / (now - self._at), now, cpu
        try:
            return Usage(max(0.0, cores), resident(), *(card() if self._gpu else (None, None)))
        except Exception:  # whatever a system or a driver of a card comes up with
            return None


def resident() -> int:
    """Bytes. Raises OSError where there is no /proc."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def card() -> tuple[float | None, int | None]:
    """(share of it in use by anybody, bytes of it that this process holds); None where nobody says."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None, None
    held = int(torch.cuda.memory_reserved())
    try:
        return torch.cuda.utilization() / 100, held
    except Exception:  # without NVML
        return None, held
