"""Files written whole or not at all, to stay; files read to their end; caches; a full disk in a sentence. No
torch."""

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any

from trainer.errors import DiskFull

RESERVE = 32_000_000  # bytes that a checkpoint leaves free: for rows, ledgers, logs
NO_FILE = "no file, but a pipe or a device"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_IN_WORDS = re.compile(rf"os error ({'|'.join(map(str, FULL))})\b")  # of libraries in Rust


def cache_root() -> Path:
    """Where what can be made again is kept: $TRAINER_CACHE, else a folder in the user's own cache."""
    return Path(os.environ.get("TRAINER_CACHE") or Path.home() / ".cache" / "bd3lm-sweep").expanduser()


def open_file(path: Path) -> BufferedReader | BytesIO:
    """To be read to its end. Raises OSError; also of a pipe or a device, which may have none, or wait for
    whoever writes."""
    found = path.stat()
    if stat.S_ISREG(found.st_mode) and found.st_size == 0:  # as /proc/kmsg looks, which waits for ever
        return BytesIO()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(errno.EINVAL, NO_FILE, str(path))
    return path.open("rb")


def write_durably(path: Path, value: Any) -> None:
    """A JSON file, atomically."""
    temporary = path.with_name(f"{path.name}.tmp")
    with writing(temporary):
        temporary.write_text(json.dumps(value, indent=1))
        replace_durably(temporary, path)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Where to write a file that a user names: beside it, and it gets its name when the block ends.

    What is there and no file, a device or a pipe, is written to itself, never replaced; a link stays one.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path = path.resolve()
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        yield temporary
        replace_durably(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def replace_durably(temporary: Path, path: Path) -> None:
    """Renames a finished file or folder to `path` so that either survives a loss of power whole."""
    to_disk(temporary)
    os.replace(temporary, path)
    to_disk(path.parent)


def to_disk(path: Path) -> None:
    """A file's or a folder's contents survive a loss of power from here on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_full(error: BaseException) -> bool:
    """Whether a disk, a quota or the largest size of a file was the cause."""
    if isinstance(error, DiskFull):
        return True
    return (isinstance(error, OSError) and error.errno in FULL) or bool(_FULL_IN_WORDS.search(str(error)))


@contextmanager
def writing(path: Path, size: int = 0) -> Iterator[None]:
    """For a block that makes `path`, of about `size` bytes. Raises DiskFull; then there is no `path`."""
    free = shutil.disk_usage(path.parent).free
    if size and free < size + RESERVE:
        raise DiskFull(
            f"the disk is full: {path} takes {_in_mb(size)}, and of {_in_mb(free)} that are free "
            f"{_in_mb(RESERVE)} are held back for rows and logs"
        )
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        path.unlink(missing_ok=True)
        raise no_room(error, path) from None


def no_room(error: BaseException, path: Path | None = None) -> DiskFull:
    """The same in a sentence."""
    if isinstance(error, DiskFull):
        return error
    where = path or getattr(error, "filename", None)
    return DiskFull(f"the disk is full: {where or 'a file'} could not be written ({error})")


def _in_mb(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
