"""What does a driver look after beside its trials? Its lease, room on its disks, checkpoints that need not
stay."""

from collections.abc import Callable
from functools import partial

from sweeper.driver.event_log import EventLog
from sweeper.driver.failures import ENVIRONMENT
from sweeper.driver.lease import HeldSweep
from sweeper.driver.retention import Retention
from sweeper.driver.stop_reason import StopReason
from sweeper.files import disk
from sweeper.files.remote import logs_of
from sweeper.store.engine import sqlite_file

LEAST = 50_000_000  # bytes that must stay free for the store, for rows and for logs


class Upkeep:
    def __init__(
        self,
        held: HeldSweep,
        events: EventLog,
        lease_seconds: float,
        poll_seconds: float,
        clock: Callable[[], float],
    ):
        """The lease has been taken; it is renewed for lease_seconds at a time. clock: seconds, steady."""
        self._clock = clock
        self._held, self._lease_seconds, self._poll_seconds = held, lease_seconds, poll_seconds
        self._renewed = self._looked = clock()
        self._disk_guard = DiskGuard(held.reader.url, held.record.folder)
        self.retention = Retention(
            held.spec.name, held.spec.keep, held.reader, partial(events.note, "keep"), clock
        )

    def renew_lease(self) -> None:
        """If it is time to."""
        now = self._clock()
        if now - self._renewed > self._lease_seconds / 3:
            self._held.writer.renew_lease(self._lease_seconds)
            self._renewed = now

    def is_due(self) -> bool:
        """Whether it is time for another look at the store and the disks."""
        now = self._clock()
        if now - self._looked < self._poll_seconds:
            return False
        self._looked = now
        return True

    def look(self) -> StopReason | None:
        """Makes room, and says why to stop where there is too little."""
        self.retention.look()
        return self._disk_guard.full()


class DiskGuard:
    """A full disk ends the run before anything is cut; what runs goes on later."""

    def __init__(self, url: str, files: str):
        """Of the disks that a sweep writes to: url of its store, files where its checkpoints go."""
        file = sqlite_file(url)
        self._places = [logs_of(files)] if file is None else [logs_of(files), file.parent]

    def full(self) -> StopReason | None:
        """Why to stop, if it is time to."""
        for place in self._places:
            free = disk.free(place)
            if free is not None and free < LEAST:
                said = f"the disk is full: {free / 1e6:.1f} MB are free for {place}"
                return StopReason(said, ENVIRONMENT)
        return None
