"""How many trials share a GPU: by a measured one, injected here. Under Ray its GPUs are logical ones."""

import json
import os
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.planning.calibration import CannotRun, Shape
from sweeper.planning.cost_estimates import Measured
from sweeper.planning.machine import LacksError, Slots, share, slots_for
from sweeper.planning.packing import HEADROOM, gpu_memory_of_each, pack, workers_on_a_gpu
from sweeper.store.queries import Reader
from tests.sweeper.driving import make_spec
from tests.sweeper.execution.test_runner import text
from tests.sweeper.processes import Work, end_of

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("81559, [N/A]\n40960, Disabled", 40960 << 20),
        ("81559, Enabled", "MIG"),
        ("[N/A], [N/A]", "does not say"),
        ("", "does not say"),
    ],
)
def test_the_memory_of_a_gpu(
    said: str, expected: int | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that is in parts, each of which is what a trial sees, the whole's would be too much."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<END\n{said}\nEND\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    if isinstance(expected, int):
        assert gpu_memory_of_each() == expected
        return
    with pytest.raises(LacksError, match=expected):
        gpu_memory_of_each()


def takes(memory: int) -> Measured:
    return Measured(0.1, 0.2, 0.3, 0.4, memory, 10)


def test_the_hungriest_shape_says_how_many_fit() -> None:
    asked: list[tuple[int, str]] = []

    def probe(shape: Shape, device: str, threads: int) -> Measured:
        size = shape.values["finetune.block_size"]
        asked.append((size, device))
        return takes(size * GB)

    said: list[str] = []
    found = pack(make_spec(), said.append, probe=probe, gpus=2, gpu_memory=80 * GB, cores=64)
    assert sorted(asked) == [(4, "cuda"), (8, "cuda"), (16, "cuda")]  # each shape once: schedules change none
    assert found.resources.gpu == 0.25  # of 80 GB 72 are to be used: four times 16
    assert slots_for(found.resources, 64, 2) == Slots(8, 1, 0.25)
    assert said[-1] == "4 trials fit on a GPU: one takes up to 16.0 GB of 80.0 GB"


def test_of_those_in_one_process_it_is_their_process_that_is_measured() -> None:
    """So many as are to be there, or as there are cores for; where so many do not fit, one."""

    def probe(shape: Shape, device: str, threads: int) -> Measured:
        if shape.together > most:
            raise CannotRun("out of memory")
        return takes(2 * GB + shape.together * GB)

    said: list[str] = []
    given = {"probe": probe, "gpus": 1, "gpu_memory": 10 * GB}
    spec, most = make_spec("resources.fused=6"), 64
    assert pack(spec, said.append, cores=64, **given).resources.gpu == share(6)  # 9 // (8 / 6)
    assert said[-1] == "6 trials fit on a GPU: each of 6 in one process takes up to 1.3 GB of 10.0 GB"
    assert pack(spec, said.append, cores=2, **given).resources.gpu == 0.5
    assert said[-1] == "2 trials fit on a GPU: each of 2 in one process takes up to 2.0 GB of 10.0 GB"
    most = 4
    assert pack(spec, said.append, cores=64, **given).resources.gpu == share(3)
    assert said[-1] == "3 trials fit on a GPU: one takes up to 3.0 GB of 10.0 GB"


@pytest.mark.parametrize(
    ("overrides", "gpus", "asks"),
    [
        (("resources.gpu=0.25",), 2, False),
        (("resources.slots=4",), 2, False),
        (("resources.gpu=0",), 2, False),
        ((), 0, False),
        ((), 1, True),
        (("budget.trials=4",), 0, False),
        (("budget.hours=4",), 0, True),
        (("budget.gpu_hours=4", "resources.gpu=0.5"), 1, True),
    ],
)
def test_nothing_is_tried_out_that_nobody_asks_for(overrides: tuple[str, ...], gpus: int, asks: bool) -> None:
    asked: list[Shape] = []

    def probe(shape: Shape, device: str, threads: int) -> Measured:
        asked.append(shape)
        return takes(GB)

    said = make_spec(*overrides)
    found = pack(said, lambda text: None, probe=probe, gpus=gpus, gpu_memory=10 * GB, cores=4)
    assert bool(asked) == bool(found.measured) == asks
    if "budget.hours=4" in overrides:
        assert found.resources == said.resources


def test_a_gpu_that_is_too_small_is_a_sentence() -> None:
    def probe(shape: Shape, device: str, threads: int) -> Measured:
        if shape.values["finetune.block_size"] == 16:
            raise CannotRun("out of memory: 90 GB were asked for")
        return takes(75 * GB)

    said: list[str] = []
    with pytest.raises(LacksError, match=r"a trial needs 75\.0 GB of GPU memory, and there are 80\.0 GB"):
        pack(make_spec(), said.append, probe=probe, gpus=1, gpu_memory=80 * GB, cores=8)
    assert "a calibration failed: finetune, block size 16: out of memory: 90 GB were asked for" in said


@settings(max_examples=100, deadline=None)
@given(
    memory=st.integers(10**8, 10**11),
    total=st.integers(10**10, 2 * 10**11),
    cores=st.integers(1, 256),
    gpus=st.integers(1, 8),
)
def test_what_is_put_on_a_gpu_fits(memory: int, total: int, cores: int, gpus: int) -> None:
    if memory > total * (1 - HEADROOM):
        with pytest.raises(LacksError):
            workers_on_a_gpu(memory, total, 1, cores, gpus)
        return
    number = workers_on_a_gpu(memory, total, 1, cores, gpus)
    assert number == 1 or number * memory <= total * (1 - HEADROOM)
    assert number == 1 or number * gpus <= cores
    each = share(number)
    assert number * each <= 1
    assert (number + 1) * each > 1 or number == 64


@pytest.mark.long
def test_on_two_logical_gpus_of_ray(tmp_path: Path) -> None:
    """gpu: auto and a probe that measures 30 GB of 100: three on each of two GPUs, with one thread each."""
    work = Work(tmp_path)
    spec = text(*range(20, 32)).replace("gpu: 0, slots: 2", "gpu: auto")
    machine = {"CUDA_VISIBLE_DEVICES": "0,1", "FAKE_MEMORY": str(30 * GB), "FAKE_CORES": "6"}
    code, output = end_of(work.start(spec, seconds=0.15, **machine))
    assert code == 0, output
    assert "3 trials fit on a GPU: one takes up to 30.0 GB of 100.0 GB" in output
    places = [json.loads(file.read_text()) for file in work.files.glob("trials/*/*/where.json")]
    assert len(places) == 12
    assert {place["threads"] for place in places} == {"1"}
    workers = {place["pid"]: place["gpu"] for place in places}
    assert set(workers.values()) == {"0", "1"}
    assert max(Counter(workers.values()).values()) <= 3
    with closing(Reader(work.url)) as reader:
        assert reader.trial_states(1) == {"complete": 12}
        assert all(trial.gpu_seconds > 0 for trial in reader.trials(1))
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != "0,1"
