"""Writes. Only the holder of a sweep's lease writes its results; `controls` and `asks` are open to anyone."""

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from sweeper.store.engine import LeaseLost, OldStore, StoreError, clock, open_for_writing, transaction
from sweeper.store.migrate import Migration, migrate
from sweeper.store.places import as_found, as_stored
from sweeper.store.records import SweepRecord, host_and_pid
from sweeper.store.schema import sweeps
from sweeper.store.writer import Writer

__all__ = ["LeaseLost", "Store", "StoreError", "Writer"]


class Store:
    """One database. Every method is one transaction, committed when it returns; threads may share it."""

    def __init__(self, url: str):
        """Opens, creating the tables where there are none. An older store is migrated (`migrated` says so),
        a newer one refused in words.

        SQLite: WAL, synchronous FULL, busy timeout 30 s, folders made as needed.
        """
        self.migrated: Migration | None = None
        try:
            self._engine = open_for_writing(url)
        except OldStore:
            self.migrated = migrate(url)
            self._engine = open_for_writing(url)

    def close(self) -> None:
        self._engine.dispose()

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
            "created": time.time(),
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
        """Takes or renews. Raises LeaseLost naming the holder where another's has not run out."""
        with transaction(self._engine) as connection:
            row = connection.execute(
                select(sweeps.c.name, sweeps.c.lease_holder, sweeps.c.lease_until)
                .where(sweeps.c.id == sweep)
                .with_for_update(key_share=True)
            ).one_or_none()
            if row is None:
                raise StoreError(f"there is no sweep {sweep} in this database")
            now = clock(connection)
            if row.lease_holder not in (None, holder) and row.lease_until > now:
                raise LeaseLost(
                    f"sweep {row.name} is being run by {host_and_pid(row.lease_holder)}, "
                    f"whose lease runs out in {row.lease_until - now:.0f} s unless renewed"
                )
            connection.execute(
                update(sweeps)
                .where(sweeps.c.id == sweep)
                .values(lease_holder=holder, lease_until=now + seconds)
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
        return Writer(self._engine, sweep, holder)
