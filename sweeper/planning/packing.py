"""How many trials fit on a GPU? Tried out before a sweep starts, with what they will take of a budget."""

import subprocess
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sweeper.planning.calibration import Probe, calibrate
from sweeper.planning.cost_estimates import Measured
from sweeper.planning.forecast import shapes_of
from sweeper.planning.machine import LacksError, share, usable_cores, visible_gpus
from sweeper.spec.sections import Resources
from sweeper.spec.spec import SweepSpec
from sweeper.words import in_bytes

HEADROOM = 0.1  # of a GPU's memory: what is measured in 20 steps is not all that a run may need
MOST = 64  # trials on a GPU
PATIENCE = 120.0  # seconds, after which no other shape is tried


class Packing(NamedTuple):
    resources: Resources  # as the spec has them, and `auto` no more a question of memory
    measured: Mapping[str, Measured]  # by shape


def pack(
    spec: SweepSpec,
    say: Callable[[str], None],
    *,
    probe: Probe | None = None,
    gpus: int | None = None,
    gpu_memory: int | None = None,
    cores: int | None = None,
) -> Packing:
    """Asks only for what is needed. Raises LacksError where not even one trial fits."""
    asked = spec.resources
    gpus = visible_gpus() if gpus is None else gpus
    cores = cores or usable_cores()
    on_gpu, share_gpus = gpus > 0 and asked.gpu != 0, shares_gpus(asked, gpus)
    timed = spec.budget is not None and (spec.budget.hours or spec.budget.gpu_hours)
    if not share_gpus and not timed:
        return Packing(asked, {})
    device = "cuda" if on_gpu else "cpu"
    together = min(asked.fused, _by_cores(asked.cpu, cores, gpus)) if share_gpus else 1
    shapes, threads = shapes_of(spec, together), max(1, int(asked.cpu))
    tried = calibrate(shapes, device, threads, probe=probe, say=say, seconds=PATIENCE)
    if together > 1 and not tried.measured:  # there may be no memory for so many at once
        together = 1
        tried = calibrate(shapes_of(spec), device, threads, probe=probe, say=say, seconds=PATIENCE)
    for failure in tried.failed.values():
        say(f"a calibration failed: {failure}")
    if not share_gpus:
        return Packing(asked, tried.measured)
    if not tried.measured:
        raise LacksError(next(iter(tried.failed.values()), "nothing could be calibrated"))
    memory = max(each.memory for each in tried.measured.values()) // together
    total = gpu_memory_of_each() if gpu_memory is None else gpu_memory
    number = workers_on_a_gpu(memory, total, asked.cpu, cores, gpus)
    what = "one takes" if together == 1 else f"each of {together} in one process takes"
    say(f"{number} trials fit on a GPU: {what} up to {in_bytes(memory)} of {in_bytes(total)}")
    return Packing(asked.model_copy(update={"gpu": share(number)}), tried.measured)


def shares_gpus(asked: Resources, gpus: int) -> bool:
    """Whether memory decides how many trials are put on each of these GPUs."""
    return gpus > 0 and asked.gpu == "auto" and asked.slots == "auto"


def workers_on_a_gpu(memory: int, total: int, cpu: float, cores: int, gpus: int) -> int:
    """By memory, with headroom, and by the cores that there are for each GPU. memory: of one, in bytes."""
    by_memory = int(total * (1 - HEADROOM) / max(1, memory))
    if not by_memory:
        need, there = in_bytes(memory), in_bytes(total)
        raise LacksError(f"a trial needs {need} of GPU memory, and there are {there}, a tenth kept free")
    return min(by_memory, _by_cores(cpu, cores, gpus))


def _by_cores(cpu: float, cores: int, gpus: int) -> int:
    """Trials on a GPU that there are cores for."""
    return max(1, min(int(cores / gpus / cpu + 1e-9), MOST))


def gpu_memory_of_each() -> int:
    """Bytes; of the smallest where they differ. Raises LacksError where nvidia-smi does not say, or where a
    GPU is cut in parts (MIG): it says how much the whole has."""
    query = ["nvidia-smi", "--query-gpu=memory.total,mig.mode.current", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        rows = [line.split(", ") for line in lines.splitlines()]
        smallest = min(int(row[0]) for row in rows) << 20
    except (OSError, subprocess.SubprocessError, ValueError):
        raise LacksError("nvidia-smi does not say how much memory the GPUs have: set resources.gpu") from None
    if any("Enabled" in row for row in rows):
        raise LacksError(
            "a GPU is in parts (MIG), and nvidia-smi says the memory of the whole: set resources.gpu"
        )
    return smallest
