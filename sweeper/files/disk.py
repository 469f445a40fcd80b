"""What a sweep takes on disk, and what is free there."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sweeper.files import stage_cache
from sweeper.files.remote import logs_of
from sweeper.store.probe import size
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.words import in_bytes


class Use(NamedTuple):
    """Bytes."""

    checkpoints: int  # the sweep's folder: rows and logs included
    stages: int  # of the pretrains that it uses, whoever else does
    store: int  # the whole database
    free: int | None  # where checkpoints go; None: that folder is not on this machine

    def words(self) -> str:
        free = "" if self.free is None else f"; {in_bytes(self.free)} free"
        parts = (self.checkpoints, "trials"), (self.stages, "shared pretrains"), (self.store, "database")
        return ", ".join(f"{name} {in_bytes(count)}" for count, name in parts) + free


def use(reader: Reader, sweep: SweepRecord, url: str) -> Use:
    files = logs_of(sweep.folder)
    keys = sorted({use.stage for use in reader.stage_uses() if use.sweep == sweep.id})
    stages = sum(stage_cache.size(Path(stage.folder)) for stage in reader.stages(keys))
    return Use(bytes_of(files / "trials" / str(sweep.id)), stages, size(url), free(files))


def bytes_of(path: Path) -> int:
    """Of a file, or of everything in a folder; what goes meanwhile counts nothing."""
    with suppress(OSError):
        if not path.is_dir():
            return path.lstat().st_size
        with os.scandir(path) as entries:
            return sum(
                bytes_of(Path(entry)) if entry.is_dir(follow_symlinks=False) else _of_entry(entry)
                for entry in entries
            )
    return 0


def _of_entry(entry: "os.DirEntry[str]") -> int:
    with suppress(OSError):
        return entry.stat(follow_symlinks=False).st_size
    return 0


def free(path: Path) -> int | None:
    """Bytes on the disk of the path, or of its first parent that is there."""
    for each in (path.absolute(), *path.absolute().parents):
        with suppress(OSError):
            return shutil.disk_usage(each).free
    return None
