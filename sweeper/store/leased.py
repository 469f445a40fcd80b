"""What may only the holder of a sweep's lease do? Every transaction first makes sure that it still is."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, insert, select, update

from sweeper.store.clock import MACHINE, Clock
from sweeper.store.engine import LeaseLost, StoreError, now, transaction
from sweeper.store.records import host_and_pid
from sweeper.store.schema import drivers, sweeps

# Built once: that takes longer than SQLite takes to carry them out.
_MINE = sweeps.c.id == bindparam("sweep_id")
# PostgreSQL: the row stays locked until the end, so that nobody takes the lease in between.
_LEASE = select(sweeps.c.name, sweeps.c.lease_holder, sweeps.c.lease_until).where(_MINE)
_LEASE = _LEASE.with_for_update(key_share=True)
_CHANGE = update(sweeps).where(_MINE).values(version=sweeps.c.version + 1)
VERSION = select(sweeps.c.version).where(_MINE).scalar_subquery()  # of the sweep `sweep_id`
_SPEND = update(drivers).where(drivers.c.id == bindparam("driver_id"))


class Leased:
    """Every method is one transaction, which first makes sure of the lease; those that are called in
    `together` are one.

    Raises LeaseLost, with nothing written, where another holder has taken it. A lease that ran out
    and that nobody took is still the holder's.
    """

    def __init__(self, engine: Engine, sweep: int, holder: str, clock: Clock = MACHINE):
        self._engine, self._sweep, self._holder, self._clock = engine, sweep, holder, clock
        self._connection: Connection | None = None  # of the transaction that is open

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that is written in it is, or nothing is. A Reader sees none of it before its end."""
        with self._transaction() as connection:
            outer, self._connection = self._connection, connection
            try:
                yield
            finally:
                self._connection = outer

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._connection is not None:
            yield self._connection
            return
        with transaction(self._engine) as connection:
            sweep = connection.execute(_LEASE, {"sweep_id": self._sweep}).one_or_none()
            if sweep is None:
                raise StoreError(f"there is no sweep {self._sweep} in this database")
            self._may_write(connection, sweep)
            yield connection

    def _next_version(self, connection: Connection) -> None:
        """Of the sweep, one more than before: VERSION, which every trial takes that changes now."""
        connection.execute(_CHANGE, {"sweep_id": self._sweep})

    def _may_write(self, connection: Connection, sweep: Any) -> None:
        """sweep: its row. Raises LeaseLost."""
        if sweep.lease_holder != self._holder:
            other = sweep.lease_holder
            now = f"is being run by {host_and_pid(other)}" if other else "has been run by another driver"
            raise LeaseLost(
                f"sweep {sweep.name} {now}: it took over when the lease of {host_and_pid(self._holder)} "
                "had run out, and nothing more was written here"
            )

    def renew_lease(self, seconds: float) -> None:
        """From now on; one that was lost is not taken back."""
        with self._transaction() as connection:
            until = now(connection, self._clock) + seconds
            connection.execute(update(sweeps).where(sweeps.c.id == self._sweep).values(lease_until=until))

    def give_up_lease(self) -> None:
        """With the last that is written: whoever asks something of the sweep from here on asks no driver."""
        with self._transaction() as connection:
            mine = sweeps.c.id == self._sweep
            connection.execute(update(sweeps).where(mine).values(lease_holder=None, lease_until=None))

    def add_driver(self) -> int:
        """The row of the driver that this is."""
        row = {"sweep": self._sweep, "holder": self._holder, "began": self._clock.wall()}
        with self._transaction() as connection:
            key = connection.execute(insert(drivers).values(row)).inserted_primary_key
            assert key is not None
            return int(key[0])

    def spend(self, driver: int, *, seconds: float, gpu_seconds: float, tokens: int) -> None:
        """All that the driver has spent so far."""
        new = {"seconds": seconds, "gpu_seconds": gpu_seconds, "tokens": tokens}
        with self._transaction() as connection:
            connection.execute(_SPEND, {**new, "driver_id": driver})


def clean(text: str) -> str:
    """What any database takes: error texts may hold NUL or half a character."""
    return text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
