"""What does a driver look after beside its trials? Its lease, its disks, checkpoints that need not stay."""

from collections.abc import Callable

from sweeper.driver.disk_guard import DiskGuard
from sweeper.driver.lease import HeldSweep
from sweeper.driver.retention import Retention
from sweeper.driver.stop_reason import StopReason


class Upkeep:
    def __init__(
        self, held: HeldSweep, lease_seconds: float, poll_seconds: float, clock: Callable[[], float]
    ):
        """The lease has been taken; it is renewed for lease_seconds at a time. clock: seconds, steady."""
        self._clock = clock
        self._held, self._lease_seconds, self._poll_seconds = held, lease_seconds, poll_seconds
        self._renewed = self._looked = clock()
        self._disk_guard = DiskGuard(held.reader.url, held.record.folder)
        self.retention = Retention(held.record, held.spec, held.reader, clock)

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
