"""What anyone may ask of a running sweep: an append to `controls`, read by the driver."""

from sqlalchemy import insert, select

from sweeper.store.clock import MACHINE, Clock
from sweeper.store.engine import StoreError, open_for_writing, sqlite_file, transaction
from sweeper.store.notes import by
from sweeper.store.schema import controls, sweeps, trials

# extend is said with an amount, settle with what is asked: 'extend +20', 'settle within=0.005 seeds=12'.
VERBS = ("stop", "pause", "resume", "retry", "extend", "settle")


def request(
    url: str, sweep: int, verb: str, trial: int | None = None, clock: Clock = MACHINE, who: str | None = None
) -> None:
    """Asks the sweep's driver. who: asks it; None: this process's user.

    Raises StoreError where there is no such database, sweep or trial."""
    if verb.partition(" ")[0] not in VERBS:
        raise StoreError(f"{verb!r} is not something to ask of a sweep; there is {', '.join(VERBS)}")
    file = sqlite_file(url)
    if file is not None and not file.is_file():
        raise StoreError(f"there is no database {file}: no sweep was ever run with it")
    engine = open_for_writing(url)
    try:
        with transaction(engine) as connection:
            if connection.execute(select(sweeps.c.id).where(sweeps.c.id == sweep)).one_or_none() is None:
                raise StoreError(f"there is no sweep {sweep} in this database")
            mine = select(trials.c.id).where(trials.c.id == trial, trials.c.sweep == sweep)
            if trial is not None and connection.execute(mine).one_or_none() is None:
                raise StoreError(f"there is no trial {trial} in this sweep")
            row = {"time": clock.wall(), "sweep": sweep, "trial": trial, "verb": verb, "who": by(who)}
            connection.execute(insert(controls).values(row))
    finally:
        engine.dispose()
