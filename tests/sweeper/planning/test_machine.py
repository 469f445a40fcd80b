from pathlib import Path

import pytest

from sweeper.execution.runner import exit_code
from sweeper.planning import machine
from sweeper.planning.machine import LacksError, Slots, slots_for, visible_gpus
from sweeper.spec.sections import Resources


@pytest.mark.parametrize(
    ("resources", "cores", "gpus", "expected"),
    [
        ({}, 4, 0, (4, 1, 0)),
        ({"cpu": 2}, 5, 0, (2, 2, 0)),
        ({"slots": 8}, 2, 0, (8, 1, 0)),
        ({}, 16, 2, (2, 1, 1)),
        ({"slots": 8}, 16, 2, (8, 1, 0.25)),
        ({"slots": 3}, 16, 2, (3, 1, 0.5)),  # two on one of them, and one on the other
        ({"slots": 6}, 16, 1, (6, 1, 0.1666)),  # Ray counts in ten-thousandths
        ({"gpu": 0.25}, 16, 1, (4, 1, 0.25)),
        ({"gpu": 0.3}, 16, 2, (6, 1, 0.3)),
        ({"gpu": 0}, 16, 2, (16, 1, 0)),
        ({"gpu": 2}, 16, 4, (2, 1, 2)),
    ],
)
def test_as_many_slots_as_fit(resources: dict, cores: int, gpus: int, expected: tuple) -> None:
    assert slots_for(Resources(**resources), cores, gpus) == Slots(*expected)


def test_how_many_share_a_process_is_the_specs() -> None:
    assert slots_for(Resources(cpu=0.5, gpu=0, fused=4), 2, 0) == Slots(4, 0.5, 0, fused=4)


@pytest.mark.parametrize(
    ("slots", "together", "why_not"),
    [
        (Slots(4, 1, 0), 1, ""),
        (Slots(4, 1, 0, fused=8), 4, ""),
        (Slots(8, 1, 0.5, fused=8), 2, ""),
        (Slots(8, 1, 1, fused=8), 1, "no two trials share a GPU"),
        (Slots(1, 1, 0, fused=8), 1, "one runs at a time"),
    ],
)
def test_where_none_are_fused_it_says_why(slots: Slots, together: int, why_not: str) -> None:
    assert (slots.together, slots.not_fused) == (together, why_not)


def test_a_machine_that_lacks_a_gpu_says_so() -> None:
    with pytest.raises(LacksError, match="asks for 1 GPUs, and this machine has 0"):
        slots_for(Resources(gpu=1), 2, 0)
    with pytest.raises(LacksError, match="9 slots"):
        slots_for(Resources(gpu=0.25, slots=9), 16, 2)


def test_gpus_are_counted_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    assert visible_gpus() == 2
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == 0


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("GPU-8932f937-d72c-4106-c12f-20bd9faed9f6, 1", 2),
        ("MIG-GPU-8932f937-d72c-4106-c12f-20bd9faed9f6/1/2", 1),
        ("NoDevFiles", 0),  # Slurm's, of a job without one
        ("-1,0", 0),
        ("0,-1,1", 1),
    ],
)
def test_gpus_are_those_that_cuda_would_see(
    said: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes what is named up to the first that is none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert visible_gpus() == expected


def test_gpus_are_counted_where_nvidia_smi_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And none where it is there, and says that the driver is not."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine, "DEVICES", tmp_path)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    assert visible_gpus() == 2
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert visible_gpus() == 0


def test_exit_codes() -> None:
    assert exit_code({"complete": 3, "stopped": 1}) == 0
    assert exit_code({"complete": 3, "failed": 1}) == 4
    assert exit_code({"complete": 3, "lost": 1}) == 4
    assert exit_code({"failed": 1}) == 5
