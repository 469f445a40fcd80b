"""Twenty steps of a run, measured in a process of its own: JSON in, JSON out.

In: {"values": dotted, "phase": "pretrain" or "finetune", "device": "cpu" or "cuda", "together": how many of
them at once, their steps taken as one where that can be}. Out: seconds of a step,
of an evaluation, of what ends a run and of what begins it; bytes of memory at most and of the checkpoints.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import torch

from trainer.config.train_config import TrainConfig
from trainer.evaluation.record import Report
from trainer.randomness import seed_of
from trainer.settings.phase import Phase
from trainer.training.together import together as met
from trainer.training.train import pretrain, train

STEPS, EVALUATED = 20, 10  # steps, of which the middle one is evaluated
SETTLED = 3  # steps after which a step takes as long as any other
SEVERAL = 500 << 20  # bytes of a CUDA context, where nvidia-smi cannot be asked


def short(values: dict[str, Any], phase: str) -> TrainConfig:
    """The run with twenty steps of this phase alone, and every step on disk and reported; without the text
    that is drawn at its end, which may take longer than all steps."""
    config = TrainConfig.from_dotted(values).to_dotted()
    changed = {
        f"{phase}.steps": STEPS,
        "log_every": 1,
        "checkpoint.every": 1e-9,
        "evaluation.every": EVALUATED,
        "samples.num": 0,
    }
    alone = {} if phase == "pretrain" else {"pretrain.steps": 0}
    return TrainConfig.from_dotted({**config, **changed, **alone})


def measure(values: dict[str, Any], phase: str, device: str, together: int = 1) -> dict[str, float]:
    """Raises what the trainer raises. Nothing is left on disk. Times and disk are of one of them, memory of
    all."""
    config, used_before = short(values, phase), gpu_memory_in_use() if device == "cuda" else None
    run = train if phase == "finetune" else pretrain
    at: dict[int, float] = {}
    trained: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="calibration-") as folder, _beside(together) as beside:
        checkpoint = TrainConfig.from_dotted(values).checkpoint  # nobody asks when another one reports
        for number in range(1, together):
            other = config.model_copy(update={"seed": config.seed + number, "checkpoint": checkpoint})
            beside(_reports(run(other, Path(folder, str(number)), device=device)))
        began = time.monotonic()
        for report in _reports(run(config, Path(folder, "0"), device=device)):
            at[report.step], trained[report.step] = time.monotonic(), report.values["seconds"]
        disk = sum(file.stat().st_size for file in Path(folder, "0").glob("*.safetensors"))
    steps = {step: trained[step] - trained[step - 1] for step in range(2, STEPS + 1)}
    # Between two reports lie a step, its checkpoint, and an evaluation where there is one.
    walls = {step: at[step] - at[step - 1] for step in range(2, STEPS + 1)}
    plain = median(walls[step] for step in walls if step > SETTLED and step not in (EVALUATED, STEPS))
    of = config.finetune if phase == "finetune" else config.pretrain
    return {
        "step": typical({n: seconds for n, seconds in steps.items() if n > SETTLED}, of, config.seed, phase),
        "evaluation": max(0.0, walls[EVALUATED] - plain) if phase == "finetune" else 0.0,
        "end": max(0.0, walls[STEPS] - plain),
        "begin": max(0.0, at[1] - began),
        "memory": peak_memory(device, used_before),
        "disk": disk,
    }


@contextmanager
def _beside(together: int) -> Iterator[Callable[[Iterator[Report]], None]]:
    """What is handed out has a run go on beside this one; at the end all are waited for, and what one of them
    raised is raised."""
    if together == 1:
        yield _exhausted
        return
    with ThreadPoolExecutor(together - 1) as threads, met():
        begun: list[Future[None]] = []
        yield lambda run: begun.append(threads.submit(_exhausted, run))
        for each in begun:
            each.result()


def _exhausted(run: Iterator[Report]) -> None:
    for _ in run:
        pass


def typical(seconds: dict[int, float], phase: Phase, seed: int, name: str) -> float:
    """Of a step, by those of each: the median; of several block sizes their medians, by their shares of a
    run."""
    of_size: dict[int, list[float]] = defaultdict(list)
    for step, took in seconds.items():
        of_size[phase.at_size(seed_of(seed, name), step).block_size].append(took)
    shares = [(n, share) for n, share in phase.blocks.shares_of(phase.block_size) if n in of_size]
    return sum(share * median(of_size[n]) for n, share in shares) / sum(share for _, share in shares)


def _reports(run: Iterator[Report | None]) -> Iterator[Report]:
    return (report for report in run if report is not None)


def peak_memory(device: str, used_before: int | None) -> int:
    """Bytes: of the process on a CPU; on a GPU what torch held at most, and the context around it."""
    if device != "cuda":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    context = SEVERAL
    if used_before is not None:
        free, total = torch.cuda.mem_get_info()
        context = max(0, total - free - used_before - torch.cuda.memory_reserved())
    return torch.cuda.max_memory_reserved() + context


def gpu_memory_in_use() -> int | None:
    """Bytes, of the first GPU that is visible, before this process has touched it."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.split()
        return int(lines[0]) << 20 if len(lines) == 1 else None  # of several, which one is this process's?
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(measure(**asked)))
