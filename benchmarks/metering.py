"""Runs a command and meters all that it starts: seconds on the wall, and CPU seconds of every process of it.

Ray's processes are nobody's children for long, so they are known by a mark in their environment. Linux alone.
"""

import os
import subprocess
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

MARK = "BENCHMARK_MARK"
RARELY = 10  # looks to one at the memory: the kernel walks every page of a process for it
TICK = os.sysconf("SC_CLK_TCK")


class Metered(NamedTuple):
    seconds: float
    cpu_seconds: float
    peak_bytes: int  # of proportional set sizes, summed over the processes alive at one time
    stdout: str


def metered(command: list[str], every: float = 0.2) -> Metered:
    """every: seconds between two looks; a process's last so many seconds may be missed.

    Raises RuntimeError where the command fails.
    """
    mark = f"{MARK}={uuid.uuid4().hex}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", MARK: mark.partition("=")[2]}
    cpu: dict[str, float] = {}
    ours: dict[str, bool] = {}
    peak, looks, over = 0, 0, threading.Event()

    def look() -> None:
        nonlocal peak, looks
        while not over.wait(every):
            alive = [pid for pid in _processes() if _is_marked(pid, mark, ours)]
            for pid in alive:
                with suppress(OSError):
                    cpu[pid] = _cpu_seconds(pid)
            if looks % RARELY == 0:
                peak = max(peak, sum(_memory(pid) for pid in alive))
            looks += 1

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    began = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    seconds = time.perf_counter() - began
    over.set()
    watcher.join()
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return Metered(seconds, sum(cpu.values()), peak, done.stdout)


def _processes() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdigit()]


def _is_marked(pid: str, mark: str, known: dict[str, bool]) -> bool:
    """The environment is that of the process's start, so the first answer stays true but for exec."""
    if not known.get(pid):
        try:
            known[pid] = mark.encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
    return known[pid]


def _cpu_seconds(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def _memory(pid: str) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
