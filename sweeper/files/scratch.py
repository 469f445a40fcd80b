"""Where are a driver's files of Ray? On a short path, closed to others, gone when it ends, come what may."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "sweep-"


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A new one, in the temporary folder (the names of Ray's sockets are limited).

    folder: the sweep's. A driver that was killed leaves its scratch behind; its name is noted in the sweep's
    folder, so that the next one clears up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (left := left_behind(folder)) is not None:
        end_orphans(left)
        remove(folder, left)
    usual = tempfile.gettempdir()
    here = Path(tempfile.mkdtemp(prefix=PREFIX, dir=usual if len(usual) < 25 else "/tmp"))
    _note(folder).write_text(str(here))
    try:
        yield here
    finally:
        remove(folder, here)


def left_behind(folder: Path) -> Path | None:
    """The scratch of the sweep's last driver, if it did not clear up; it may be gone all the same."""
    try:
        noted = Path(_note(folder).read_text())
    except FileNotFoundError:
        return None
    return noted if noted.name.startswith(PREFIX) else None


def remove(folder: Path, scratch: Path) -> None:
    shutil.rmtree(scratch, ignore_errors=True)
    if left_behind(folder) == scratch:  # else another driver has taken over
        with suppress(OSError):  # a folder that cannot be written; the next driver clears up
            _note(folder).unlink(missing_ok=True)


def end_orphans(scratch: Path) -> None:
    """Ray's processes that outlived a driver: those with a file open in its folder. Linux alone."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile, or is another user's
            rays = (process / "cmdline").read_bytes().startswith(b"ray::")
            if rays and any(file.readlink().is_relative_to(scratch) for file in (process / "fd").iterdir()):
                os.kill(int(process.name), signal.SIGKILL)


def _note(folder: Path) -> Path:
    return folder / "ray.folder"
