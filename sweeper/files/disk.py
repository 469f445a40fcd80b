"""What a sweep takes on disk, and what is free there."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sweeper.files import stage_cache
from sweeper.files.remote import is_remote, logs_of, within
from sweeper.store.probe import size
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.words import in_bytes


class Use(NamedTuple):
    """Bytes; None: in an object store that does not answer."""

    checkpoints: int | None  # the sweep's folder: rows and logs included
    stages: int | None  # of the pretrains that it uses, whoever else does
    store: int  # the whole database
    free: int | None  # where checkpoints, or logs, go; None: that folder is not on this machine

    def words(self) -> str:
        free = "" if self.free is None else f"; {in_bytes(self.free)} free"
        parts = (self.checkpoints, "trials"), (self.stages, "shared pretrains"), (self.store, "database")
        counted = (f"{name} {'not seen' if count is None else in_bytes(count)}" for count, name in parts)
        return ", ".join(counted) + free


def use(reader: Reader, sweep: SweepRecord, url: str) -> Use:
    files = logs_of(sweep.folder)
    keys = sorted({use.stage for use in reader.stage_uses() if use.sweep == sweep.id})
    logs = bytes_of(files / "trials" / str(sweep.id))
    there = _there(within(sweep.folder, "trials", str(sweep.id))) if is_remote(sweep.folder) else 0
    stages = [_of_stage(stage.folder) for stage in reader.stages(keys)]
    counted = [each for each in stages if each is not None]
    return Use(
        None if there is None else logs + there,
        sum(counted) if len(counted) == len(stages) else None,
        size(url),
        free(files),
    )


def _of_stage(folder: str) -> int | None:
    return _there(folder) if is_remote(folder) else stage_cache.size(Path(folder))


def _there(uri: str) -> int | None:
    """Of all that lies below it in an object store."""
    from pyarrow import fs  # takes a while

    try:
        system, path = fs.FileSystem.from_uri(uri)
        found = system.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    except OSError:
        return None
    return sum(each.size or 0 for each in found)


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
