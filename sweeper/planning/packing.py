"""How many trials fit on a GPU? Tried out before a sweep starts, with what they will take of a budget."""

import subprocess
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sweeper.planning.calibration import Probe, calibrate
from sweeper.planning.cost_estimates import Measured
from sweeper.planning.forecast import shapes_of
from sweeper.planning.machine import LacksError, usable_cores, visible_gpus
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
    on_gpu = gpus > 0 and asked.gpu != 0
    share_gpus = on_gpu and asked.gpu == "auto" and asked.slots == "auto"
    timed = spec.budget is not None and (spec.budget.hours or spec.budget.gpu_hours)
    if not share_gpus and not timed:
        return Packing(asked, {})
    device = "cuda" if on_gpu else "cpu"
    tried = calibrate(shapes_of(spec), device, max(1, int(asked.cpu)), probe=probe, say=say, seconds=PATIENCE)
    for failure in tried.failed.values():
        say(f"a calibration failed: {failure}")
    if not share_gpus:
        return Packing(asked, tried.measured)
    if not tried.measured:
        raise LacksError(next(iter(tried.failed.values()), "nothing could be calibrated"))
    memory = max(each.memory for each in tried.measured.values())
    total = gpu_memory_of_each() if gpu_memory is None else gpu_memory
    number = workers_on_a_gpu(memory, total, asked.cpu, cores or usable_cores(), gpus)
    say(f"{number} trials fit on a GPU: one takes up to {in_bytes(memory)} of {in_bytes(total)}")
    return Packing(asked.model_copy(update={"gpu": share(number)}), tried.measured)


def workers_on_a_gpu(memory: int, total: int, cpu: float, cores: int, gpus: int) -> int:
    """By memory, with headroom, and by the cores that there are for each GPU. memory: of one, in bytes."""
    by_memory = int(total * (1 - HEADROOM) / max(1, memory))
    if not by_memory:
        need, there = in_bytes(memory), in_bytes(total)
        raise LacksError(f"a trial needs {need} of GPU memory, and there are {there}, a tenth kept free")
    return max(1, min(by_memory, int(cores / gpus / cpu + 1e-9), MOST))


def share(number: int) -> float:
    """Of a GPU, so that `number` fit: Ray counts in ten-thousandths."""
    return int(10_000 / number) / 10_000


def gpu_memory_of_each() -> int:
    """Bytes; of the smallest where they differ. Raises LacksError where nvidia-smi does not say."""
    query = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split()
        return min(int(line) for line in lines) << 20
    except (OSError, subprocess.SubprocessError, ValueError):
        raise LacksError("nvidia-smi does not say how much memory the GPUs have: set resources.gpu") from None
