"""A checkpoint read back: what is no network, or of another text, is refused in words."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from trainer.checkpoints import checkpoint
from trainer.checkpoints.trained import open_trained
from trainer.cli.main import app
from trainer.config.stored import read_config
from trainer.config.train_config import TrainConfig
from trainer.errors import CheckpointError
from trainer.training.rows import read_rows
from trainer.training.train import train


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return tiny_config(write_corpus(tmp_path), data__valid=str(_valid(tmp_path, "a")), pretrain__steps=0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("made")
    reports_of(tiny_config(write_corpus(home), pretrain__steps=0, finetune__steps=10), home / "run")
    return home / "run"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "run")


def _valid(folder: Path, word: str) -> Path:
    path = folder / "valid.txt"
    path.write_text(f"block {word} noise\n" * 30 + "mask token learns\n" * 30)
    return path


def test_a_network_is_opened_to_be_read_not_trained(folder: Path) -> None:
    assert not open_trained(read_config(folder), folder / "best.safetensors", device="cpu").model.training


def _with_weights(path: Path, value: float) -> None:
    facts = checkpoint.read_facts(path)
    tensors = load_file(path)
    name = next(each for each in tensors if each.startswith("ema.") and tensors[each].numel() > 16)
    tensors[name].view(-1)[3] = value
    save_file(tensors, path, metadata={"bd3lm-sweep": json.dumps(facts)})


@pytest.mark.parametrize("command", ["evaluate", "sample"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(folder: Path, command: str, value: float) -> None:
    _with_weights(folder / "best.safetensors", value)
    with pytest.raises(CheckpointError, match="is not finite"):
        open_trained(read_config(folder), folder / "best.safetensors", device="cpu")
    result = CliRunner().invoke(app, [command, str(folder), "--json"], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not finite (1 tensors in all): its run has diverged, or the file was changed" in result.stderr


@pytest.mark.parametrize("command", ["evaluate", "sample"])
def test_a_network_that_gives_no_numbers_is_refused(folder: Path, command: str) -> None:
    """Each weight is finite, what is computed with them is not."""
    path = folder / "best.safetensors"
    facts = checkpoint.read_facts(path)
    huge = {name: torch.full_like(each, 1e38) for name, each in load_file(path).items()}
    checkpoint.save(path, huge, {key: value for key, value in facts.items() if key != "format"})
    result = CliRunner().invoke(app, [command, str(folder), "--json"], catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no result" in result.stderr or "not finite" in result.stderr


def test_another_valid_text_between_two_attempts_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    running = train(config, run, device="cpu")
    for event in running:
        if event and event.step >= 10:
            break
    running.close()
    (tmp_path / "valid.txt").write_text((tmp_path / "valid.txt").read_text().replace(" a ", " b "))
    with pytest.raises(CheckpointError, match=r"another valid split .* of two texts"):
        reports_of(config, run, attempt=2)
    _valid(tmp_path, "a")
    assert reports_of(config, run, attempt=2, acknowledged=10)[-1].step == 30


def test_a_run_that_kept_no_valid_text_goes_on(config: TrainConfig, tmp_path: Path) -> None:
    """Of a version before this one: its facts lack `valid`, its tensors their sums."""
    run = tmp_path / "run"
    running = train(config, run, device="cpu")
    for event in running:
        if event and event.step >= 10:
            break
    running.close()
    path = run / "last.safetensors"
    facts = {key: value for key, value in checkpoint.read_facts(path).items() if key != "valid"}
    save_file(load_file(path), path, metadata={"bd3lm-sweep": json.dumps(facts)})
    assert reports_of(config, run, attempt=2, acknowledged=10)[-1].step == 30


def test_weights_changed_on_disk_stop_the_run(config: TrainConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    running = train(config, run, device="cpu")
    for event in running:
        if event and event.step >= 10:
            break
    running.close()
    content = bytearray((run / "last.safetensors").read_bytes())
    content[-1000] ^= 1
    (run / "last.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match="is not what was written"):
        reports_of(config, run, attempt=2)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "{}", '{"phase": "x", "config": {}}', "[" * 100_000])
@pytest.mark.parametrize("command", ["evaluate", "sample", "train"])
def test_a_damaged_config_is_a_sentence(tmp_path: Path, content: str, command: str) -> None:
    (tmp_path / "config.json").write_text(content)
    words = {"train": ["train", "--out", str(tmp_path)]}.get(command, [command, str(tmp_path)])
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 1
    assert f"{tmp_path / 'config.json'}: damaged" in result.stderr


@pytest.mark.parametrize("line", ["{", "[]", '{"step": 3}', '{"step": "x", "values": {}, "evaluations": []}'])
def test_a_damaged_row_is_a_sentence(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"step": 1, "values": {}, "evaluations": []}\n' + line + "\n")
    with pytest.raises(CheckpointError, match=r"rows.jsonl:2: damaged"):
        list(read_rows(path))


def test_samples_go_into_a_device_or_through_a_link(folder: Path, tmp_path: Path) -> None:
    """A pipe stands for /dev/null, which a mistake here would replace."""
    pipe, target, link = tmp_path / "pipe", tmp_path / "target", tmp_path / "link"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    link.symlink_to(target)
    target.write_text("old")
    for out in (pipe, link):
        result = CliRunner().invoke(app, ["sample", str(folder), "--out", str(out)], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert os.read(reader, 100_000).startswith(b'{"text":')
    os.close(reader)
    assert link.is_symlink()
    assert target.read_text().startswith('{"text":')
    assert sorted(each.name for each in tmp_path.glob("*.tmp")) == []


@pytest.mark.parametrize("word", ["--length=100000000", "--num=1000000000", "--batch=1000000000"])
def test_no_sample_without_end(folder: Path, word: str) -> None:
    result = CliRunner().invoke(app, ["sample", str(folder), word], catch_exceptions=False)
    assert result.exit_code == 2
    assert "at most" in result.stderr
