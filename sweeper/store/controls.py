"""What anyone may ask of a sweep: an append to `controls`, for its driver; without one, written at once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, insert, select

from sweeper.store.clock import MACHINE, Clock
from sweeper.store.engine import StoreError, now, open_for_writing, sqlite_file
from sweeper.store.notes import by
from sweeper.store.schema import controls, trials
from sweeper.store.writer import Writer

# extend is said with an amount, settle with what is asked: 'extend +20', 'settle within=0.005 seeds=12'.
VERBS = ("stop", "pause", "resume", "retry", "extend", "settle")


class Asker(Writer):
    """Whoever asks something of a sweep, in one transaction (`together`). In it nobody takes the lease
    or gives it up: what is asked of a driver is heard by it before it ends.

    driven: whether there is a driver. Without one all that is wanted may be written there and then.
    """

    driven = False

    def _may_write(self, connection: Connection, sweep: Any) -> None:
        self.driven = now(connection, self._clock) < (sweep.lease_until or 0.0)

    def ask(self, verb: str, trial: int | None = None, who: str | None = None) -> None:
        """Of the driver that there is, or the next one. who: asks it; None: this process's user.

        Raises StoreError where there is no such trial."""
        if verb.partition(" ")[0] not in VERBS:
            raise StoreError(f"{verb!r} is not something to ask of a sweep; there is {', '.join(VERBS)}")
        with self._transaction() as connection:
            mine = select(trials.c.id).where(trials.c.id == trial, trials.c.sweep == self._sweep)
            if trial is not None and connection.execute(mine).one_or_none() is None:
                raise StoreError(f"there is no trial {trial} in this sweep")
            row = {"time": self._clock.wall(), "sweep": self._sweep, "trial": trial, "verb": verb}
            connection.execute(insert(controls).values({**row, "who": by(who)}))


def request(
    url: str, sweep: int, verb: str, trial: int | None = None, clock: Clock = MACHINE, who: str | None = None
) -> bool:
    """Asks the sweep's driver, or the next one; whether there is one now.

    Raises StoreError where there is no such database, sweep or trial."""
    with _asker(url, sweep, clock) as asker:
        asker.ask(verb, trial, who)
        return asker.driven


def request_of_driver(
    url: str, sweep: int, verb: str, trial: int | None = None, clock: Clock = MACHINE, who: str | None = None
) -> bool:
    """False, and nothing is asked, where nobody drives the sweep. Raises as `request` does."""
    with _asker(url, sweep, clock) as asker:
        if asker.driven:
            asker.ask(verb, trial, who)
        return asker.driven


@contextmanager
def _asker(url: str, sweep: int, clock: Clock) -> Iterator[Asker]:
    file = sqlite_file(url)
    if file is not None and not file.is_file():
        raise StoreError(f"there is no database {file}: no sweep was ever run with it")
    engine = open_for_writing(url)
    try:
        asker = Asker(engine, sweep, "", clock)
        with asker.together():
            yield asker
    finally:
        engine.dispose()
