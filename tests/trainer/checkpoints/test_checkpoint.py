import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from trainer.checkpoints import checkpoint
from trainer.errors import CheckpointError

LIKE = {"model.a": torch.zeros(3), "model.b": torch.zeros(2, 2), "ema.a": torch.zeros(3)}
ALL = ("model.", "ema.")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "last.safetensors"
    checkpoint.save(path, {name: torch.randn_like(t) for name, t in LIKE.items()}, {"step": 7, "best": 0.1})
    return path


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    tensors = {"model.a": torch.tensor([1.0, float("inf"), -0.0]), "model.b": torch.ones(2, 2).T}
    checkpoint.save(tmp_path / "x", tensors, {"step": 7, "best": 0.1 + 0.2})
    back = checkpoint.load(tmp_path / "x", tensors, ("model.",))
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())
    assert checkpoint.read_facts(tmp_path / "x") == {"format": 1, "step": 7, "best": 0.1 + 0.2}


def test_a_part_can_be_loaded_alone(saved: Path) -> None:
    assert set(checkpoint.load(saved, {"ema.a": torch.zeros(3)}, ("ema.",))) == {"ema.a"}


@pytest.mark.parametrize(
    ("like", "sentence"),
    [
        ({**LIKE, "model.c": torch.zeros(1)}, "model.c is missing"),
        ({k: v for k, v in LIKE.items() if k != "model.b"}, "model.b is not part of this network"),
        (
            {**LIKE, "model.b": torch.zeros(4)},
            r"model.b is \[2, 2\] of float32, this network's is \[4\] of float32",
        ),
        ({**LIKE, "ema.a": torch.zeros(3, dtype=torch.float64)}, "ema.a is .* float32, .* float64"),
    ],
)
def test_a_mismatch_is_named(saved: Path, like: dict[str, torch.Tensor], sentence: str) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        checkpoint.load(saved, like, ALL)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_off_is_a_sentence(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        checkpoint.load(saved, LIKE, ALL)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        checkpoint.read_facts(tmp_path / "none")
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="not a checkpoint of this trainer"):
        checkpoint.read_facts(tmp_path / "foreign")
    header = {"bd3lm-sweep": json.dumps({"format": checkpoint.FORMAT + 1})}
    save_file({"a": torch.zeros(1)}, tmp_path / "newer", metadata=header)
    with pytest.raises(CheckpointError, match="newer than this trainer's"):
        checkpoint.read_facts(tmp_path / "newer")


def test_a_save_that_fails_leaves_the_old_file(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def fails(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="no space"):
        checkpoint.save(saved, LIKE, {"step": 8})
    assert saved.read_bytes() == before
