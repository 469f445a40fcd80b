"""How many trials run at once here, and on what."""

import math
import os
import subprocess
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # benchmarks.gpu_check has no pydantic of its own
    from sweeper.spec.sections import Resources

DEVICES = Path("/dev")


class Slots(NamedTuple):
    number: int
    cpu: float  # of each
    gpu: float
    fused: int = 1  # so many are trained in one process

    @property
    def beside(self) -> int:
        """How many run beside each other on one GPU; on the machine where they use none."""
        return min(self.number, int(1 / self.gpu + 1e-9) or 1) if self.gpu else self.number

    @property
    def together(self) -> int:
        """How many of these are in one process at most."""
        return min(self.fused, self.beside)

    @property
    def not_fused(self) -> str:
        """Why no two are in one process, though that is asked for; '' where it is not, or they are."""
        if self.fused == 1 or self.together > 1:
            return ""
        return "no two trials share a GPU" if self.gpu else "one runs at a time"


class LacksError(ValueError):
    """The machine lacks something that the spec asks for, as a sentence."""


def slots_for(resources: "Resources", cores: int | None = None, gpus: int | None = None) -> Slots:
    """As many as fit, unless the spec says how many. `gpu: auto` is a whole GPU each where there is one,
    or what there is shared out among the slots that the spec says.

    Raises LacksError where not even one fits.
    """
    cores = usable_cores() if cores is None else cores
    gpus = visible_gpus() if gpus is None else gpus
    wanted = None if resources.slots == "auto" else resources.slots
    if resources.gpu == "auto":
        gpu = (share(math.ceil(wanted / gpus)) if wanted else 1.0) if gpus else 0.0
    else:
        gpu = float(resources.gpu)
    if gpu > gpus:
        raise LacksError(f"a trial asks for {gpu:g} GPUs, and this machine has {gpus}")
    fits = max(1, int(cores / resources.cpu + 1e-9))
    if gpu:
        # Ray hands out whole GPUs, or shares of one: a GPU takes floor(1/gpu) trials.
        on_gpus = int(gpus / gpu) if gpu >= 1 else gpus * int(1 / gpu + 1e-9)
        if wanted and wanted > on_gpus:
            raise LacksError(f"{wanted} slots of {gpu:g} GPU do not fit on {gpus} GPUs: {on_gpus} do")
        fits = min(fits, on_gpus)
    return Slots(wanted or fits, resources.cpu, gpu, resources.fused)


def share(number: int) -> float:
    """Of a GPU, so that `number` fit: Ray counts in ten-thousandths."""
    return int(10_000 / number) / 10_000


def usable_cores() -> int:
    """Of this process: fewer than the machine's where it is pinned."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def visible_gpus() -> int:
    """NVIDIA's, by nvidia-smi: the driver process never imports torch."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len(list(takewhile(_names_a_gpu, visible.split(","))))  # CUDA sees none behind a wrong one
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError:  # in a container that was given the driver for computing alone
        return sum(each.name.removeprefix("nvidia").isdigit() for each in DEVICES.glob("nvidia*"))
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())


def environment(threads: int) -> dict[str, str]:
    """Of every process that trains, from its first instruction on: memory is kept between steps."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "MALLOC_ARENA_MAX": "1",  # the training thread's memory is kept like the main thread's
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _names_a_gpu(word: str) -> bool:
    """By its number, its UUID, or a MIG device's. Slurm says NoDevFiles where a job was given none."""
    return word.strip().isdigit() or word.strip().startswith(("GPU-", "MIG-"))
