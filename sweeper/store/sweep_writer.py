"""What is written of a sweep as a whole: its state, its spec, its events, and which trials are to run
again."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from sweeper.store.leased import VERSION, clean
from sweeper.store.places import as_stored
from sweeper.store.records import MAY_BE_RETRIED, RETRIED
from sweeper.store.rows import lineage
from sweeper.store.schema import controls, events, metadata, stages, sweeps, trials
from sweeper.store.stage_writer import StageWriter

_EVENT = insert(events)


class SweepWriter(StageWriter):
    def set_sweep_state(self, state: str, note: str = "") -> None:
        """running, paused, interrupted, complete or failed, with the reason as a sentence."""
        ended = None if state in ("running", "paused") else self._clock.wall()
        with self._transaction() as connection:
            connection.execute(
                update(sweeps)
                .where(sweeps.c.id == self._sweep)
                .values(state=state, note=clean(note), ended=ended)
            )

    def move(self, folder: str) -> None:
        """Where the sweep's files are from now on."""
        with self._transaction() as connection:
            mine = sweeps.c.id == self._sweep
            place = as_stored(folder, self._engine.url)
            connection.execute(update(sweeps).where(mine).values(folder=place))

    def extend(self, trials: int, control: int | None = None) -> None:
        """How many the search tries, in the sweep's spec; the request that asked for it is done with that."""
        with self._transaction() as connection:
            mine = sweeps.c.id == self._sweep
            spec = connection.execute(select(sweeps.c.spec).where(mine)).scalar_one()
            new = {**spec, "search": {**spec.get("search", {}), "trials": trials}}
            connection.execute(update(sweeps).where(mine).values(spec=new))
            if control is not None:
                self._done(connection, control)

    def change_spec(self, section: str, value: Any, control: int | None = None) -> None:
        """What may change between run and resume, as it is now: for who reads the sweep later. The request
        that asked for it is done with that."""
        with self._transaction() as connection:
            mine = sweeps.c.id == self._sweep
            spec = connection.execute(select(sweeps.c.spec).where(mine)).scalar_one()
            connection.execute(update(sweeps).where(mine).values(spec={**spec, section: value}))
            if control is not None:
                self._done(connection, control)

    def retry(self, chosen: Sequence[int], why: str) -> list[int]:
        """Trials that have failed or were lost are queued again, with their repeats. An event says why, and
        what their error was. Attempts, rows and events stay. A pretrain that failed runs again, too.

        Returns those of them that are queued now: not what has ended otherwise, nor what is no run at all.
        """
        with self._transaction() as connection:
            mine = (trials.c.sweep == self._sweep) & trials.c.state.in_(MAY_BE_RETRIED)
            runs = trials.c.id.in_(chosen) & (trials.c.steps > 0) & trials.c.repeat_of.is_(None)
            found = connection.execute(select(trials).where(mine & runs).order_by(trials.c.id)).all()
            again = [row.id for row in found]
            new = {"state": "queued", "ended": None, "error": "", "reason": "", "tokens": 0}
            theirs = trials.c.id.in_(again) | trials.c.repeat_of.in_(again)
            self._next_version(connection)
            changed = update(trials).where(mine & theirs).values(**new, version=VERSION)
            connection.execute(changed, {"sweep_id": self._sweep})
            of_them = stages.c.key.in_({row.stage for row in found}) & (stages.c.state == "failed")
            connection.execute(update(stages).where(of_them).values(state="queued", error=""))
            for row in found:
                self._say(connection, RETRIED, f"{why}; it had {_what(row)}", row.id)
            return again

    def delete(self) -> None:
        """Every row of the sweep, and of the pretrains that no other sweep's trials branch from, nor any that
        these go on from."""
        with self._transaction() as connection:
            own, line = select(trials.c.id).where(trials.c.sweep == self._sweep), lineage()
            branched = select(line.c.of).join(trials, trials.c.stage == line.c.stage)
            ours = branched.where(trials.c.sweep == self._sweep)
            alone = ours.where(line.c.of.not_in(branched.where(trials.c.sweep != self._sweep)))
            keys = connection.execute(alone.distinct()).scalars().all()
            for table in reversed(metadata.sorted_tables):  # what refers to others goes before them
                if "sweep" in table.c:
                    connection.execute(delete(table).where(table.c.sweep == self._sweep))
                elif "trial" in table.c:
                    connection.execute(delete(table).where(table.c.trial.in_(own)))
            connection.execute(delete(sweeps).where(sweeps.c.id == self._sweep))
            connection.execute(delete(stages).where(stages.c.key.in_(keys)))

    def add_event(self, kind: str, text: str, trial: int | None = None) -> None:
        with self._transaction() as connection:
            self._say(connection, kind, text, trial)

    def _say(self, connection: Connection, kind: str, text: str, trial: int | None) -> None:
        row = {"time": self._clock.wall(), "sweep": self._sweep, "trial": trial, "kind": kind}
        connection.execute(_EVENT, {**row, "text": clean(text)})

    def finish_control(self, control: int) -> None:
        """Marks a request as done; a request of another sweep is left alone."""
        with self._transaction() as connection:
            self._done(connection, control)

    def _done(self, connection: Connection, control: int) -> None:
        mine = (controls.c.id == control) & (controls.c.sweep == self._sweep)
        connection.execute(update(controls).where(mine).values(done=self._clock.wall()))


def _what(row: Any) -> str:
    return "failed: " + row.error if row.state == "failed" else "been lost: " + row.error
