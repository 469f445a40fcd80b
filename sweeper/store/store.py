"""Writes. Only the holder of a sweep's lease writes its results; `controls` and `asks` are open to anyone."""

import sqlite3
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from sweeper.store.clock import MACHINE, Clock
from sweeper.store.controls import Asker
from sweeper.store.engine import (
    LeaseLost,
    OldStore,
    StoreError,
    now,
    open_for_writing,
    sqlite_file,
    transaction,
)
from sweeper.store.migrate import Migration, migrate
from sweeper.store.places import as_found, as_stored
from sweeper.store.records import SweepRecord, host_and_pid
from sweeper.store.schema import sweeps
from sweeper.store.sqlite_files import Waiting, checkpoint
from sweeper.store.writer import Writer

__all__ = ["LeaseLost", "Store", "StoreError", "Writer"]


class Store:
    """One database. Every method is one transaction, committed when it returns; threads may share it."""

    def __init__(
        self,
        url: str,
        clock: Clock = MACHINE,
        *,
        waiting: Waiting | None = None,
        factory: type[sqlite3.Connection] = sqlite3.Connection,
    ):
        """Opens, creating the tables where there are none. An older store is migrated (`migrated` says so),
        a newer one refused in words. factory: of SQLite's connections.

        Another one's transaction is waited for 30 s; with `waiting`, which is told so, minutes. SQLite: WAL,
        synchronous FULL, folders made as needed.
        """
        self._clock = clock
        self.migrated: Migration | None = None
        self._file = sqlite_file(url)
        try:
            self._engine = open_for_writing(url, waiting, factory)
        except OldStore:
            self.migrated = migrate(url)
            self._engine = open_for_writing(url, waiting, factory)

    def close(self) -> None:
        self._engine.dispose()
        self.checkpoint()

    def checkpoint(self) -> None:
        """An SQLite file by itself holds all that was written, as far as others who read it allow."""
        if self._file is not None:
            checkpoint(self._file)

    def create_sweep(
        self, *, name: str, spec_text: str, spec: Mapping[str, Any], code_version: str, folder: str
    ) -> SweepRecord:
        """Raises StoreError where the name is taken."""
        row: dict[str, Any] = {
            "name": name,
            "spec_text": spec_text,
            "spec": dict(spec),
            "code_version": code_version,
            "folder": as_stored(folder, self._engine.url),
            "state": "running",
            "note": "",
            "created": self._clock.wall(),
        }
        try:
            with transaction(self._engine) as connection:
                key = connection.execute(sweeps.insert().values(row)).inserted_primary_key
        except IntegrityError:
            raise StoreError(f"there is a sweep named {name} in this database already") from None
        assert key is not None
        row["folder"] = as_found(row["folder"], self._engine.url)
        return SweepRecord(id=key[0], ended=None, lease_holder=None, lease_until=None, **row)

    def take_lease(self, sweep: int, holder: str, seconds: float) -> None:
        """Takes or renews. Raises LeaseLost naming the holder where another's has not run out.

        A lease that has longer to run than any can was taken before the clock was set back: it has no more
        than the usual time. Whoever holds it renews it meanwhile, or is dead.
        """
        with transaction(self._engine) as connection:
            row = connection.execute(
                select(sweeps.c.name, sweeps.c.lease_holder, sweeps.c.lease_until)
                .where(sweeps.c.id == sweep)
                .with_for_update(key_share=True)
            ).one_or_none()
            if row is None:
                raise StoreError(f"there is no sweep {sweep} in this database")
            time = now(connection, self._clock)
            held = row.lease_holder not in (None, holder) and row.lease_until > time
            until = min(row.lease_until, time + seconds) if held else time + seconds
            connection.execute(
                update(sweeps)
                .where(sweeps.c.id == sweep)
                .values(lease_holder=row.lease_holder if held else holder, lease_until=until)
            )
        if held:
            raise LeaseLost(
                f"sweep {row.name} is being run by {host_and_pid(row.lease_holder)}, "
                f"whose lease runs out in {until - time:.0f} s unless renewed"
            )

    def release_lease(self, sweep: int, holder: str) -> None:
        """Gives it back; nothing happens where `holder` does not have it."""
        with transaction(self._engine) as connection:
            connection.execute(
                update(sweeps)
                .where(sweeps.c.id == sweep, sweeps.c.lease_holder == holder)
                .values(lease_holder=None, lease_until=None)
            )

    def writer(self, sweep: int, holder: str) -> Writer:
        """The sweep's results, writable as long as `holder` has the lease (checked in every transaction)."""
        return Writer(self._engine, sweep, holder, self._clock)

    def asker(self, sweep: int) -> Asker:
        """For who wants something of the sweep, whether it is being run or not."""
        return Asker(self._engine, sweep, "", self._clock)
