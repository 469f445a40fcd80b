"""Several trials on one card: as processes, as processes under MPS, and fused; tokens a second of all."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.forms import Case
from benchmarks.gpu.scale import Row, Scale, Step
from benchmarks.gpu.steps import case_of

CONTROL = "nvidia-cuda-mps-control"
PATIENCE = 20  # seconds for MPS to answer


def rows(scale: Scale, which: int) -> Iterator[Row]:
    case = case_of(scale, Step(scale.length, scale.batch))
    number = scale.trials
    one = rate(case, 1, scale.seconds)
    facts: dict[str, object] = {"tokens_per_second": one}
    yield Row(f"batch {scale.batch}: one trial", None, f"{one:,.0f} tokens/s", facts=facts)
    many = rate(case, number, scale.seconds)
    yield _against(f"{number} trials, processes", many, one)
    if shutil.which(CONTROL) is None and scale.device == "cuda":
        yield Row(f"{number} trials, MPS", None, f"{CONTROL} is not there")
        return
    with under_mps(scale.device) as environment:
        yield _against(f"{number} trials, MPS", rate(case, number, scale.seconds, environment), one)


def _against(what: str, many: float, one: float) -> Row:
    said = f"{many:,.0f} tokens/s, {many / one:.2f}x of one"
    return Row(what, None, said, facts={"tokens_per_second": many, "of_one": many / one})


def rate(case: Case, number: int, seconds: float, environment: dict[str, str] | None = None) -> float:
    """Tokens a second of so many processes that begin together. Raises RuntimeError where one fails."""
    command = [sys.executable, "-m", "benchmarks.gpu.worker", json.dumps(case), str(seconds)]
    given = {**os.environ, **(environment or {})}
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=given)
        for _ in range(number)
    ]
    try:
        for worker in workers:
            _until_ready(worker)
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        found = [json.loads(worker.communicate()[0].strip().splitlines()[-1]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    return sum(case.batch * case.length * each["steps"] / each["seconds"] for each in found)


def _until_ready(worker: "subprocess.Popen[str]") -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        if line.strip() == "ready":
            return
    raise RuntimeError(f"a worker ended with {worker.wait()} before it was ready")


@contextmanager
def under_mps(device: str) -> Iterator[dict[str, str]]:
    """What processes need to share the GPU by a daemon of our own, which ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        places = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        for place in places.values():
            os.mkdir(place)
        control = [CONTROL] if device == "cuda" else ["true"]
        given = {**os.environ, **places}
        subprocess.run([*control, "-d"], env=given, check=True, timeout=PATIENCE)
        try:
            yield places
        finally:
            subprocess.run(control, input="quit\n", text=True, env=given, check=False, timeout=PATIENCE)
