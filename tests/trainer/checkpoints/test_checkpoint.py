import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from trainer.checkpoints import checkpoint
from trainer.checkpoints.tensors_file import DTYPES
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


@settings(max_examples=60, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_no_flipped_bit_is_taken_for_right(place: float, bit: int, tmp_path_factory: Any) -> None:
    """Wherever it stands: in the header's length, a name, a fact, a sum, a tensor."""
    path = tmp_path_factory.mktemp("flipped") / "last.safetensors"
    checkpoint.save(path, {name: torch.ones_like(t) for name, t in LIKE.items()}, {"step": 7, "best": 0.1})
    whole = bytearray(path.read_bytes())
    whole[int(place * len(whole))] ^= 1 << bit
    path.write_bytes(whole)
    try:
        with checkpoint.Checkpoint(path) as file:
            facts, tensors = file.facts, file.load(LIKE, ALL)
    except CheckpointError:
        return
    # A blank of JSON may have become another one: then nothing is wrong.
    assert facts == {"format": 1, "step": 7, "best": 0.1}
    assert all(torch.equal(tensors[name], torch.ones_like(t)) for name, t in LIKE.items())


def test_a_changed_tensor_is_named(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1  # of the last tensor by the library's order: model.b
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.b is not what was written"):
        checkpoint.load(saved, LIKE, ALL)
    assert checkpoint.load(saved, LIKE, ("ema.",)).keys() == {"ema.a"}  # what is not read is not asked


def test_a_checkpoint_without_sums_is_taken_with_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "old"
    save_file(dict(LIKE), path, metadata={"bd3lm-sweep": json.dumps({"format": 1, "step": 7})})
    for _ in range(2):
        assert checkpoint.load(path, LIKE, ALL).keys() == LIKE.keys()
    assert checkpoint.read_facts(path) == {"format": 1, "step": 7}
    assert [record.message for record in caplog.records] == [
        f"{path}: written before checkpoints held sums; its tensors are taken as they are"
    ]


def test_what_is_read_is_of_one_save_though_another_takes_its_name(saved: Path) -> None:
    with checkpoint.Checkpoint(saved) as file:
        checkpoint.save(saved, {name: torch.full_like(t, 9) for name, t in LIKE.items()}, {"step": 8})
        assert file.facts["step"] == 7
        assert not any((tensor == 9).any() for tensor in file.load(LIKE, ALL).values())
    assert checkpoint.read_facts(saved)["step"] == 8


@pytest.mark.parametrize("dtype", DTYPES.values())
def test_every_dtype_and_shape_comes_back(tmp_path: Path, dtype: torch.dtype) -> None:
    tensors = {f"{i}": torch.ones(shape).to(dtype) for i, shape in enumerate([(), (0, 3), (2, 3), (5,)])}
    checkpoint.save(tmp_path / "x", tensors, {})
    back = checkpoint.load(tmp_path / "x", tensors, ("",))
    assert all(torch.equal(back[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "no JSON object"),
        (b'{"a": 3}', "a has no dtype, shape and place"),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}', "a has no dtype, shape and place"),
        (b'{"a": {"dtype": "F7", "shape": [1], "data_offsets": [0, 4]}}', "a dtype that is not read: 'F7'"),
        (b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', "no whole numbers"),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}', "more or fewer bytes"),
        (b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}', "do not follow one another"),
        (b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}', "its header speaks of"),
        (b'{"__metadata__": {"bd3lm-sweep": 3}}', "metadata are not text"),
    ],
)
def test_a_header_that_is_none_is_a_sentence(tmp_path: Path, header: bytes, sentence: str) -> None:
    path = tmp_path / "strange"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match=sentence):
        checkpoint.read_facts(path)
