"""What a process sees of the machine, which may be less than it has. No torch at module level."""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import EnvironmentFault

if TYPE_CHECKING:
    import torch

FLAGS = ("amx_bf16", "avx512_bf16")  # of /proc/cpuinfo


def pick_device(name: str) -> torch.device:
    """'auto': the GPU where there is one. Raises EnvironmentFault where the machine has no such device."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise EnvironmentFault(f"device {name}: {str(error).splitlines()[0]}") from None


def has_bfloat16(device: str) -> bool:
    """In hardware. device: cpu, cuda or auto."""
    return bfloat16_by(device) is not None


def bfloat16_by(device: str) -> str | None:
    """What computes in bfloat16 here: 'cuda', or the first of FLAGS; None: nothing does, it is emulated.

    device: cpu, cuda or auto."""
    if device != "cpu":
        import torch

        if torch.cuda.is_available():
            return "cuda" if torch.cuda.is_bf16_supported(including_emulation=False) else None
        if device != "auto":
            return None
    with suppress(OSError):
        flags = set(Path("/proc/cpuinfo").read_text().split())
        return next((flag for flag in FLAGS if flag in flags), None)
    return None


def seen_in_words() -> str:
    """'torch 2.13.0, threads 2, NVIDIA H200 with 140 GiB and bf16', or '..., no GPU'."""
    import torch

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
        import torch

        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # VmHWM begins again

    def peak_mb(self) -> float:
        if self._device.type == "cuda":
            import torch

            return torch.cuda.max_memory_reserved(self._device) / 1e6
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
        unit = 1 if sys.platform == "darwin" else 1024  # macOS counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
