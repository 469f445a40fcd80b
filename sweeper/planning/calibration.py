"""How long a step takes and how much memory it needs, of every shape that a sweep has: tried in processes.

What was measured on this machine is remembered beside the tokenised corpora. No torch here.
"""

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import Any, NamedTuple

from sweeper.planning.cost_estimates import Measured, shape_of
from sweeper.planning.machine import environment, usable_cores
from trainer.config.train_config import content_hash
from trainer.disk import cache_root

TRY = 300.0  # seconds for one run of a shape: its corpus may have to be tokenised first
ALL = 600.0  # seconds after which no other one is begun


class Shape(NamedTuple):
    values: Mapping[str, Any]  # dotted and complete, of a run that has it
    phase: str
    together: int = 1  # so many of them in one process, as resources.fused has it

    @property
    def key(self) -> str:
        return shape_of(self.values, self.phase)

    @property
    def name(self) -> str:
        """'finetune, block size 16, mixture'."""
        blocks = self.values.get(f"{self.phase}.blocks.name", "fixed")
        more = [*([blocks] if blocks != "fixed" else []), *(["ar"] if self._hybrid else [])]
        more += ["complementary"] if self.values.get(f"{self.phase}.complementary") else []
        return ", ".join([self.phase, f"block size {self.values[f'{self.phase}.block_size']}", *more])

    @property
    def _hybrid(self) -> bool:
        return bool(self.values.get(f"{self.phase}.ar_weight"))


class Tried(NamedTuple):
    measured: dict[str, Measured]  # by shape
    failed: dict[str, str]  # by shape, why: in a sentence
    left: int  # shapes that there was no time for


Probe = Callable[[Shape, str, int], Measured]


class CannotRun(ValueError):
    """A shape does not run here, and why."""


def calibrate(
    shapes: Iterable[Shape],
    device: str,
    threads: int,
    *,
    probe: Probe | None = None,
    say: Callable[[str], None] = lambda text: None,
    seconds: float = ALL,
) -> Tried:
    """Each shape once. device: cpu or cuda. probe: what measures one; raises CannotRun."""
    ask = probe or remembered(in_a_process)
    tried, began = Tried({}, {}, 0), time.monotonic()
    distinct = {shape.key: shape for shape in shapes}
    for number, (key, shape) in enumerate(distinct.items(), start=1):
        if time.monotonic() - began > seconds:
            return tried._replace(left=len(distinct) - number + 1)
        say(f"calibration {number} of {len(distinct)}: {shape.name}")
        try:
            tried.measured[key] = ask(shape, device, threads)
        except CannotRun as error:
            tried.failed[key] = f"{shape.name}: {error}"
    return tried


def in_a_process(shape: Shape, device: str, threads: int) -> Measured:
    """threads: of each."""
    asked = {"phase": shape.phase, "device": device, "together": shape.together}
    question = json.dumps({"values": dict(shape.values), **asked})
    own = {**os.environ, **environment(min(threads * shape.together, max(threads, usable_cores())))}
    if device == "cpu":
        own["CUDA_VISIBLE_DEVICES"] = ""
    command, limit = [sys.executable, "-m", "trainer.training.calibrate"], TRY * shape.together
    try:
        done = subprocess.run(command, input=question, env=own, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise CannotRun(f"20 steps were not done within {limit:.0f} s") from None
    if done.returncode < 0:
        raise CannotRun(f"its process was killed (signal {-done.returncode}): too little memory, it seems")
    if done.returncode:
        raise CannotRun((done.stderr.strip().splitlines() or ["no reason was given"])[-1])
    return Measured(**json.loads(done.stdout.strip().splitlines()[-1]))


def remembered(probe: Probe) -> Probe:
    """As long as the machine, the GPU and torch are the same."""

    def ask(shape: Shape, device: str, threads: int) -> Measured:
        where = {"host": platform.node(), "torch": version("torch"), "device": device, "threads": threads}
        where["together"] = shape.together
        file = cache_root() / "calibration" / f"{content_hash({'shape': shape.key, **where})}.json"
        with suppress(OSError, ValueError, TypeError):
            return Measured(**json.loads(file.read_text()))
        measured = probe(shape, device, threads)
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            new = file.with_suffix(f".{os.getpid()}")
            new.write_text(json.dumps(measured._asdict()))
            new.replace(file)
        return measured

    return ask
