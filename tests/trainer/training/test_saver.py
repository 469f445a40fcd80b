"""Checkpoints beside training: steps go on, reports wait for the disk, and what is written is one moment."""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.trainer.tiny_runs import reports_of, same_tensors, tiny_config, write_corpus
from trainer.checkpoints import checkpoint
from trainer.training.train import train


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


class Disk:
    """Writes nothing of a run's own checkpoint until it is let."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception | None = None):
        self.free, self.asked = threading.Event(), threading.Event()
        self._error, self._save = error, checkpoint.save
        monkeypatch.setattr(checkpoint, "save", self.save)

    def save(self, path: Path, *rest) -> None:
        if path.parent.name != "pretrain":
            self.asked.set()
            assert self.free.wait(60)
            if self._error:
                raise self._error
        self._save(path, *rest)


def steps_of(folder: Path) -> list[int]:
    ledger = folder / "ledger.txt"
    return [int(line.split()[1]) for line in ledger.read_text().splitlines()] if ledger.exists() else []


def test_steps_go_on_and_the_report_waits_for_the_disk(corpus: Path, tmp_path: Path, monkeypatch):
    config, folder = tiny_config(corpus, pretrain__steps=0), tmp_path / "run"
    whole = reports_of(config, tmp_path / "whole")
    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.0)
    disk = Disk(monkeypatch)
    running, reports = train(config, folder, device="cpu"), []
    # Evaluations, hence checkpoints, are after steps 10, 20 and 30; the second waits for the first.
    while max(steps_of(folder), default=0) < 20:
        reports.append(next(running))
    assert disk.asked.is_set()
    assert not any(reports)
    assert not (folder / "last.safetensors").exists()
    disk.free.set()
    reports += running
    rows = [report for report in reports if report is not None]
    assert [report.step for report in rows] == [report.step for report in whole]
    assert steps_of(folder) == list(range(1, 31))
    for name in ("last", "best"):
        ours, expected = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("run", "whole"))
        assert same_tensors(ours, expected)


def test_what_is_written_is_the_step_it_was_taken_at(corpus: Path, tmp_path: Path, monkeypatch):
    """Though ten steps were trained before a byte of it was."""
    config, folder = tiny_config(corpus, pretrain__steps=0), tmp_path / "run"
    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.0)
    disk = Disk(monkeypatch)
    running = train(config, folder, device="cpu")
    while max(steps_of(folder), default=0) < 20:
        assert next(running) is None
    disk.free.set()
    report = next(report for report in running if report is not None)
    assert checkpoint.read_facts(folder / "last.safetensors")["progress"]["step"] == 10 >= report.step
    found = load_file(folder / "last.safetensors")
    running.close()
    short = train(tiny_config(corpus, pretrain__steps=0), tmp_path / "short", device="cpu")
    next(each for each in short if each is not None and each.step == 10)
    assert same_tensors(found, load_file(tmp_path / "short" / "last.safetensors"))
    short.close()


def test_closing_waits_for_the_checkpoint_that_is_being_written(corpus: Path, tmp_path: Path, monkeypatch):
    config, folder = tiny_config(corpus, pretrain__steps=0), tmp_path / "run"
    monkeypatch.setattr("trainer.training.train.HEARTBEAT", 0.0)
    disk = Disk(monkeypatch)
    running = train(config, folder, device="cpu")
    while max(steps_of(folder), default=0) < 15:
        next(running)
    threading.Timer(0.2, disk.free.set).start()
    running.close()
    assert checkpoint.read_facts(folder / "last.safetensors")["progress"]["step"] >= 15
    assert steps_of(folder) == list(range(1, steps_of(folder)[-1] + 1))
    reports = reports_of(config, folder)
    assert [report.step for report in reports] == list(range(5, 31, 5))


def test_rows_are_on_disk_before_the_checkpoint_that_vouches_for_them(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: dict[int, int] = {}  # bytes of a file that a loss of power leaves
    fsync, save = os.fsync, checkpoint.save
    vouched: list[int] = []

    def on_disk(descriptor: int) -> None:
        fsync(descriptor)
        synced[os.fstat(descriptor).st_ino] = os.fstat(descriptor).st_size

    def vouch(path: Path, tensors: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        vouched.append(facts["progress"]["rows_bytes"])
        assert synced.get((path.parent / "rows.jsonl").stat().st_ino, 0) >= vouched[-1]
        save(path, tensors, facts)

    monkeypatch.setattr(os, "fsync", on_disk)
    monkeypatch.setattr(checkpoint, "save", vouch)
    reports_of(tiny_config(corpus, pretrain__steps=0), tmp_path / "run")
    assert max(vouched) == (tmp_path / "run" / "rows.jsonl").stat().st_size > 0


def test_what_the_writing_raises_ends_the_run(corpus: Path, tmp_path: Path, monkeypatch):
    disk = Disk(monkeypatch, error=OSError("the disk is gone"))
    disk.free.set()
    with pytest.raises(OSError, match="the disk is gone"):
        reports_of(tiny_config(corpus, pretrain__steps=0), tmp_path / "run")
