"""Twenty steps that are measured, and how much memory they took."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.trainer.tiny_runs import tiny_config, write_corpus
from trainer.training import calibrate, together
from trainer.training.calibrate import gpu_memory_in_use, measure, peak_memory, short

MIB = 1 << 20


@pytest.mark.parametrize("phase", ["finetune", "pretrain"])
def test_twenty_steps_are_measured(phase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    # An evaluation that is long beside what the disk takes now more, now less.
    long = {"finetune__block_size": 16, "evaluation__draws": 400}
    config = tiny_config(write_corpus(tmp_path), evaluation__test=False, **long)
    run = short(config.to_dotted(), phase)
    assert (run.pretrain.steps, run.finetune.steps) == {"finetune": (0, 20), "pretrain": (20, 30)}[phase]
    found = measure(config.to_dotted(), phase, "cpu")
    assert 0 < found["step"] < 5
    assert found["begin"] > 0
    assert (found["evaluation"] == 0) == (phase == "pretrain")
    assert found["memory"] > 50 * MIB
    weights = 3 * 4 * sum(p.numel() for p in run.objective.build(shape(run), 0.0).parameters())
    assert found["disk"] > weights  # AdamW's moments and the average besides


def test_several_at_once_are_measured_in_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They take their steps as one; what one of them raises is raised."""
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    sizes: list[int] = []
    taken = together.Fused.take_steps
    monkeypatch.setattr(
        together.Fused,
        "take_steps",
        lambda self, steps: [sizes.append(len(self.learners)), taken(self, steps)][1],
    )
    values = tiny_config(write_corpus(tmp_path), evaluation__test=False).to_dotted()
    alone, found = measure(values, "finetune", "cpu"), measure(values, "finetune", "cpu", 3)
    assert max(sizes) == 3
    assert found["disk"] == pytest.approx(alone["disk"], rel=0.01)  # of one of them
    steps = calibrate.train

    def failing(config: Any, folder: Path, device: str) -> Any:
        if config.seed == values["seed"] + 2:
            raise MemoryError("no room")
        return steps(config, folder, device=device)

    monkeypatch.setattr(calibrate, "train", failing)
    with pytest.raises(MemoryError, match="no room"):
        measure(values, "finetune", "cpu", 3)


def shape(config: Any) -> Any:
    from trainer.config.network import shape_of
    from trainer.data.corpus import load

    return shape_of(config, load(config.data).tokenizer)


def test_memory_of_a_gpu_is_what_torch_held_and_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 80,000 MiB 1,000 were somebody's, 7,000 are torch's now, 400 the context's; it held 9,000 once."""
    cuda = SimpleNamespace(
        mem_get_info=lambda: ((80_000 - 8_400) * MIB, 80_000 * MIB),
        memory_reserved=lambda: 7_000 * MIB,
        max_memory_reserved=lambda: 9_000 * MIB,
    )
    monkeypatch.setattr(torch, "cuda", cuda)
    assert peak_memory("cuda", 1_000 * MIB) == 9_400 * MIB
    assert peak_memory("cuda", None) == 9_500 * MIB  # nobody to ask: half a gigabyte
    assert peak_memory("cuda", 5_000 * MIB) == 9_000 * MIB  # somebody left meanwhile: no less than torch's


@pytest.mark.parametrize(("said", "expected"), [("1234\n", 1234 * MIB), ("1\n2\n", None), ("[N/A]\n", None)])
def test_memory_in_use_is_asked_of_nvidia_smi(
    said: str, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = SimpleNamespace(stdout=said)
    monkeypatch.setattr(calibrate.subprocess, "run", lambda *words, **options: answer)
    assert gpu_memory_in_use() == expected


def test_without_nvidia_smi_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert gpu_memory_in_use() is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
def test_the_probe_on_a_gpu(tmp_path: Path) -> None:
    # An evaluation that is long beside what the disk takes now more, now less.
    long = {"finetune__block_size": 16, "evaluation__draws": 400}
    config = tiny_config(write_corpus(tmp_path), evaluation__test=False, **long)
    asked = json.dumps({"values": config.to_dotted(), "phase": "finetune", "device": "cuda"})
    done = subprocess.run(
        [sys.executable, "-m", "trainer.training.calibrate"],
        input=asked,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert 100 * MIB < found["memory"] < torch.cuda.get_device_properties(0).total_memory
