"""Room on disk: looked for before a checkpoint is written; where there is none, a sentence. No torch."""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trainer.errors import DiskFull

RESERVE = 32_000_000  # bytes that a checkpoint leaves free: for rows, ledgers, logs
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_IN_WORDS = re.compile(rf"os error ({'|'.join(map(str, FULL))})\b")  # of libraries in Rust


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
