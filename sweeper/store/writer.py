"""What is written of a sweep's trials? By the holder of its lease alone."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from sweeper.store import rows as tables
from sweeper.store.engine import StoreError, insert_or_ignore, upsert
from sweeper.store.leased import VERSION, clean
from sweeper.store.records import ENDS, ForeignTrial, MetricRow, NewTrial, TrialRecord
from sweeper.store.schema import configurations, foreign_trials, scores, trials
from sweeper.store.sweep_writer import SweepWriter
from trainer.evaluation.record import Evaluation

# Built once: that takes longer than SQLite takes to carry them out.
_OF_MINE = trials.c.sweep == bindparam("sweep_id")
_TRIAL = select(trials).where(trials.c.id == bindparam("trial_id"), _OF_MINE)
_CHANGE = update(trials).where(trials.c.id == bindparam("trial_id")).values(version=VERSION)
_ADD = insert(trials).values(version=VERSION)
_WITHOUT_NUMBER = select(trials.c.id).where(_OF_MINE, trials.c.trial_number.is_(None)).limit(1)
_LAST_NUMBER = select(func.max(trials.c.trial_number)).where(_OF_MINE)
_CONFIGURATION = select(configurations.c.id).where(
    configurations.c.sweep == bindparam("sweep_id"), configurations.c.hash == bindparam("hash")
)


class NotItsBest(ValueError):
    """A score of another checkpoint than the one by which its trial ranks."""


class Writer(SweepWriter):
    """An attempt is live while it is its trial's latest and the trial is running; what any other attempt
    says is dropped.
    """

    def add_configuration(self, hash: str, values: Mapping[str, Any]) -> int:
        """The configuration's id; the one there is where the sweep has it already."""
        with self._transaction() as connection:
            row = {"sweep": self._sweep, "hash": hash, "values": dict(values)}
            insert_or_ignore(connection, configurations, [row])
            mine = {"sweep_id": self._sweep, "hash": hash}
            return int(connection.execute(_CONFIGURATION, mine).scalar_one())

    def add_trial(self, **fields: Any) -> TrialRecord:
        """One, of NewTrial's fields. A repeat is added in the state that it repeats, and never runs."""
        return self.add_trials([NewTrial(**fields)])[0]

    def add_trials(self, new: Sequence[NewTrial]) -> list[TrialRecord]:
        """All of them, or none."""
        with self._transaction() as connection:
            return [self._add_trial(connection, trial) for trial in new]

    def _add_trial(self, connection: Connection, trial: NewTrial) -> TrialRecord:
        now = self._clock.wall()
        row: dict[str, Any] = {
            "sweep": self._sweep,
            **trial._asdict(),
            "trial_number": self._next_number(connection),
            "attempt": 0,
            "error": "",
            "reason": "",
            "worker": "",
            "created": now,
            "started": None,
            "ended": now if trial.state in ENDS else None,
            "cpu_seconds": 0.0,
            "gpu_seconds": 0.0,
            "tokens": 0,
        }
        self._next_version(connection)
        key = connection.execute(_ADD, {**row, "sweep_id": self._sweep}).inserted_primary_key
        assert key is not None
        return TrialRecord(id=key[0], **row)

    def _next_number(self, connection: Connection) -> int | None:
        """From 1; None in a sweep that was begun before trials had numbers, whose ids people have written
        down."""
        mine = {"sweep_id": self._sweep}
        if connection.execute(_WITHOUT_NUMBER, mine).first() is not None:
            return None
        return (connection.execute(_LAST_NUMBER, mine).scalar() or 0) + 1

    def start_trial(self, trial: int, worker: str = "", above: int = 0) -> int:
        """queued, paused or running -> running; returns the new attempt number (1, 2, ...).

        above: an attempt that has been in its folder, and that this store may not know. Every older attempt
        is stale from here on. Raises StoreError where the trial has ended."""
        with self._transaction() as connection:
            row = self._trial(connection, trial)
            if row.state not in ("queued", "running", "paused"):
                raise StoreError(f"trial {trial} is {row.state} and cannot be started")
            attempt = max(row.attempt, above) + 1
            new = {
                "state": "running",
                "attempt": attempt,
                "worker": worker,
                "started": row.started or self._clock.wall(),
            }
            self._change(connection, trial, new)
            return attempt

    def add_rows(
        self,
        trial: int,
        attempt: int,
        rows: Iterable[MetricRow],
        evaluations: Iterable[Evaluation] = (),
        *,
        system_attrs: Mapping[str, Any] | None = None,
        state: str | None = None,
        reason: str = "",
        worker: str = "",
        cpu_seconds: float = 0.0,
        gpu_seconds: float = 0.0,
    ) -> bool:
        """Rows (insert or ignore), `latest`, the best evaluations, Optuna's attributes, the worker and, where
        the pruner decided, the state: one transaction. Costs add. False, and nothing written, where
        `attempt` is stale.

        After a state was given the attempt takes no more rows; end_trial still adds its costs.
        Raises ValueError, with nothing written, for a value that is not finite.
        """
        rows, evaluations = list(rows), list(evaluations)
        for row in rows:
            if not math.isfinite(row.value):
                raise ValueError(f"trial {trial}: {row.name} at step {row.step} is {row.value}")
        for each in evaluations:
            if not all(map(math.isfinite, (each.nelbo, *each.nats_D))) or math.isnan(each.se):
                raise ValueError(
                    f"trial {trial}: the evaluation on {each.split} at step {each.step} is not finite"
                )
        with self._transaction() as connection:
            found = self._trial(connection, trial)
            if found.attempt != attempt or found.state != "running":
                return False
            tables.add_metrics(connection, trial, rows)
            tables.keep_best_evaluations(connection, trial, evaluations)
            new: dict[str, Any] = {
                "worker": worker or found.worker,
                "cpu_seconds": found.cpu_seconds + cpu_seconds,
                "gpu_seconds": found.gpu_seconds + gpu_seconds,
            }
            if system_attrs is not None:
                new["system_attrs"] = dict(system_attrs)
            if state is not None:
                new |= {"state": state, "reason": clean(reason)}
            self._change(connection, trial, new)
            return True

    def add_scores(
        self, trial: int, round: int, evaluations: Sequence[Evaluation], cpu_seconds: float = 0.0
    ) -> None:
        """Of a trial that is complete: all of them, or none; what is there already is replaced.

        Raises ValueError, with nothing written, for a value that is not finite, and NotItsBest.
        """
        for each in evaluations:
            if not all(map(math.isfinite, (each.nelbo, *each.nats_D))):
                raise ValueError(f"trial {trial}: its score on {each.split} in round {round} is not finite")
        cost = {"cpu_seconds": cpu_seconds / max(1, len(evaluations))}
        with self._transaction() as connection:
            self._trial(connection, trial)
            ranked = tables.ranked_step(connection, trial)
            for each in evaluations:
                if ranked not in (None, each.step):
                    raise NotItsBest(f"its best checkpoint is of step {each.step}; it ranks by step {ranked}")
            rows = [{"trial": trial, "round": round, **tables.row_of(each), **cost} for each in evaluations]
            upsert(connection, scores, rows)
            self._change(connection, trial, {})

    def end_trial(
        self,
        trial: int,
        attempt: int,
        state: str,
        *,
        error: str = "",
        reason: str = "",
        system_attrs: Mapping[str, Any] | None = None,
        cpu_seconds: float = 0.0,
        gpu_seconds: float = 0.0,
        tokens: int = 0,
    ) -> bool:
        """complete, pruned, failed, lost, stopped: an end. queued: handed back, to be run again; paused: when
        someone says so. Costs add.

        False, and nothing written, where `attempt` is stale or the trial has ended already; a trial
        that add_rows gave a state keeps that state.
        """
        with self._transaction() as connection:
            row = self._trial(connection, trial)
            decided = row.state in ENDS  # by add_rows
            if row.attempt != attempt or row.ended is not None or row.state in ("queued", "paused"):
                return False
            new = {
                "state": row.state if decided else state,
                "error": clean(error),
                "reason": row.reason if decided else clean(reason),
                "ended": self._clock.wall() if decided or state in ENDS else None,
                "cpu_seconds": row.cpu_seconds + cpu_seconds,
                "gpu_seconds": row.gpu_seconds + gpu_seconds,
                "tokens": row.tokens + tokens,
            }
            if system_attrs is not None:
                new["system_attrs"] = dict(system_attrs)
            self._change(connection, trial, new)
            return True

    def hold(self, trial: int, paused: bool) -> None:
        """queued -> paused, or back; a trial in another state is left alone."""
        before, after = ("queued", "paused") if paused else ("paused", "queued")
        mine = (trials.c.id == trial) & (trials.c.sweep == self._sweep) & (trials.c.state == before)
        with self._transaction() as connection:
            self._next_version(connection)
            changed = update(trials).where(mine).values(state=after, version=VERSION)
            connection.execute(changed, {"sweep_id": self._sweep})

    def add_foreign_trials(self, given: Iterable[ForeignTrial]) -> None:
        """What the search is to know before its number 0; once, before there are trials."""
        rows = [{"sweep": self._sweep, "place": i, **each._asdict()} for i, each in enumerate(given)]
        with self._transaction() as connection:
            insert_or_ignore(connection, foreign_trials, rows)

    def _change(self, connection: Connection, trial: int, new: Mapping[str, Any]) -> None:
        self._next_version(connection)
        connection.execute(_CHANGE, {**new, "trial_id": trial, "sweep_id": self._sweep})

    def _trial(self, connection: Connection, trial: int) -> Any:
        row = connection.execute(_TRIAL, {"trial_id": trial, "sweep_id": self._sweep}).one_or_none()
        if row is None:
            raise StoreError(f"there is no trial {trial} in this sweep")
        return row
