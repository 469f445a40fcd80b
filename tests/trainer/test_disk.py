"""What a loss of power leaves of a file that was written to stay: the old one or the new one, whole."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainer.checkpoints import checkpoint
from trainer.disk import open_file, replace_durably, write_durably


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


@pytest.mark.parametrize("content", [b"", b"some text\n" * 1000])
def test_a_file_is_read_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with open_file(tmp_path / "a") as file:
        assert file.read() == content


def test_what_has_no_end_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="no file, but a pipe or a device"):
            open_file(path)
    with pytest.raises(IsADirectoryError):
        open_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "none")
