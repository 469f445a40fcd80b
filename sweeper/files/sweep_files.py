"""Which files are a sweep's alone? Its trials' folders, and what its drivers left; a pretrain is shared."""

import os
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout
from pyarrow import fs

from sweeper.files.disk import bytes_of
from sweeper.files.remote import is_remote, logs_of, within
from sweeper.files.scratch import end_orphans, left_behind
from sweeper.store.records import StageRecord, SweepRecord


class InUse(RuntimeError):
    """A worker is at work in a folder, as a sentence."""


def delete_trials(sweep: SweepRecord) -> int:
    """All of them, and the sweep's logs; returns the bytes that were on this machine.

    Raises InUse before anything is deleted; OSError. What is gone already is no error: a deletion that was
    cut off is repeated."""
    here = logs_of(sweep.folder) / "trials" / str(sweep.id)
    for lock in sorted(here.glob("*/.lock")):
        _look(lock)
    if is_remote(sweep.folder):
        _delete_there(within(sweep.folder, "trials", str(sweep.id)))
    if (scratch := left_behind(here)) is not None:
        end_orphans(scratch)
        _delete_here(scratch)
    return _delete_here(here)


def delete_stage(stage: StageRecord) -> int:
    """All of a pretrain's folder; returns the bytes that were on this machine. One that is not called as the
    pretrain is another's: a store that was copied here may name any folder. Raises as above."""
    if is_remote(stage.folder):
        _delete_there(stage.folder)
        return 0
    folder = Path(stage.folder)
    if folder.parts[-2:] != ("stages", stage.key):
        return 0
    _look(folder / ".lock")
    return _delete_here(folder)


def _look(lock: Path) -> None:
    """Raises InUse."""
    if not lock.is_file():
        return
    try:
        with FileLock(lock, timeout=0):
            pass
    except Timeout:
        raise InUse(f"a worker is at work in {lock.parent}: it ends soon after its driver") from None


def _delete_here(folder: Path) -> int:
    """From the leaves on, and no link is followed."""
    if folder.is_symlink() or not folder.is_dir():
        return 0
    freed = bytes_of(folder)
    for inner, folders, files in os.walk(folder, topdown=False):
        for name in files:
            Path(inner, name).unlink(missing_ok=True)
        for name in folders:
            path = Path(inner, name)
            path.unlink(missing_ok=True) if path.is_symlink() else path.rmdir()
    folder.rmdir()
    return freed


def _delete_there(uri: str) -> None:
    system, path = fs.FileSystem.from_uri(uri)
    with suppress(FileNotFoundError):
        system.delete_dir(path)
