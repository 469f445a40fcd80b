"""What torch sees from inside a process, which may be less than the machine has."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch


def seen_in_words() -> str:
    """'torch 2.13.0, threads 2, NVIDIA H200 with 140 GiB and bf16', or '..., no GPU'."""
    gpus = []
    for index in range(torch.cuda.device_count()):
        of = torch.cuda.get_device_properties(index)
        bf16 = " and bf16" if of.major >= 8 else ""  # Ampere and later compute in it
        gpus.append(f"{of.name} with {of.total_memory / 2**30:.0f} GiB{bf16}")
    threads = torch.get_num_threads()
    return ", ".join([f"torch {torch.__version__}", f"threads {threads}", *(gpus or ["no GPU"])])


class Memory:
    """The most that this process has held since this was made; on a GPU, what torch has held of it.

    A warm process gives back what the run before left, but where the system keeps no mark that can be lowered
    (Linux does), what was held before counts, too.
    """

    def __init__(self, device: torch.device):
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins again

    def peak_mb(self) -> float:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_reserved(self._device) / 1e6
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
