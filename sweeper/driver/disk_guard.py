"""Is there room on the disks? A full one ends the run before anything is cut; what runs goes on later."""

from sweeper.driver.stop_reason import StopReason
from sweeper.files import disk
from sweeper.files.remote import logs_of
from sweeper.store.engine import sqlite_file

LEAST = 50_000_000  # bytes that must stay free for the store, for rows and for logs
CODE = 7  # the process's exit code: the machine lacks something


class DiskGuard:
    def __init__(self, url: str, files: str):
        """Of the disks that a sweep writes to: url of its store, files where its checkpoints go."""
        file = sqlite_file(url)
        self._places = [logs_of(files)] if file is None else [logs_of(files), file.parent]

    def full(self) -> StopReason | None:
        """Why to stop, if it is time to."""
        for place in self._places:
            free = disk.free(place)
            if free is not None and free < LEAST:
                return StopReason(f"the disk is full: {free / 1e6:.1f} MB are free for {place}", CODE)
        return None


def is_of_disk(error: str) -> bool:
    """error: as a worker describes it."""
    return error.startswith("the disk is full")
