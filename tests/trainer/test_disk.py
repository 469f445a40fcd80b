"""What a loss of power leaves of a file that was written to stay: the old one or the new one, whole."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainer.checkpoints import checkpoint
from trainer.disk import replace_durably, write_durably


class Disk:
    """What it is sure to keep of `path`: contents as they were synced last, and names as of their folder's
    last sync. Of a rename since then nobody knows whether it is kept."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch):
        self._path = path
        self._contents = {path.stat().st_ino: path.read_bytes()}
        self._named = [path.stat().st_ino]
        self.moments = [self._left()]  # after each sync and each rename: what may be left of `path`
        self._fsync, self._replace = os.fsync, os.replace
        monkeypatch.setattr(os, "fsync", self.fsync)
        monkeypatch.setattr(os, "replace", self.replace)

    def fsync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        synced = os.fstat(descriptor).st_ino
        if synced == self._path.parent.stat().st_ino:
            self._named = self._named[-1:]
        else:
            self._contents[synced] = os.pread(descriptor, 1 << 20, 0)
        self.moments.append(self._left())

    def replace(self, source: Path, target: Path) -> None:
        self._replace(source, target)
        assert target == self._path
        self._named.append(target.stat().st_ino)
        self.moments.append(self._left())

    def _left(self) -> set[bytes]:
        return {self._contents.get(file, b"") for file in self._named}


def renamed(path: Path) -> None:
    temporary = path.with_name("new")
    temporary.write_bytes(b"new" * 1000)
    replace_durably(temporary, path)


def of_json(path: Path) -> None:
    write_durably(path, {"new": [1, 2, 3]})


def of_tensors(path: Path) -> None:
    checkpoint.save(path, {"new": torch.arange(1000)}, {"step": 1})


@pytest.mark.parametrize("write", [renamed, of_json, of_tensors])
def test_a_file_is_the_old_or_the_new_one_whenever_power_is_lost(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    disk = Disk(path, monkeypatch)
    write(path)
    new = path.read_bytes()
    assert all(left <= {b"old", new} for left in disk.moments), "never a part"
    assert disk.moments[-1] == {new}, "it is there when the call returns"
