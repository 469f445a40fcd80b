"""Reads, for the driver, the command line and the dashboard. Opens read-only; never creates a file."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Connection, Select, Table, bindparam, func, or_, select

from sweeper.store.engine import in_sentences, parse, transaction
from sweeper.store.notes import NAME
from sweeper.store.places import as_found
from sweeper.store.records import (
    AskRecord,
    ControlRecord,
    DriverRecord,
    EvaluationRecord,
    EventRecord,
    ForeignTrial,
    LatestRecord,
    NoteRecord,
    ScoreRecord,
    StageRecord,
    StageUse,
    SweepRecord,
    TrialRecord,
    UsageRecord,
)
from sweeper.store.rows import keys_behind, uses_of_stages
from sweeper.store.schema import (
    asks,
    configurations,
    controls,
    drivers,
    evaluations,
    events,
    foreign_trials,
    latest,
    metrics,
    notes,
    scores,
    stages,
    sweeps,
    trials,
    usage,
)
from sweeper.store.source import Same, Source, columns_of, fetched, trials_of

Placed = TypeVar("Placed", SweepRecord, StageRecord)
_ONE_MOMENT = {"sqlite": "BEGIN", "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"}


class Reader:
    """A read-only view of one database. Raises StoreError in a sentence where there is none.

    An SQLite file of an older version is read as it would be migrated; it stays as it is.

    Threads may share it. Every method sees one moment; two calls may see two.
    """

    def __init__(self, url: str, *, factory: type[sqlite3.Connection] = sqlite3.Connection):
        self.url = url
        self._source, self._store = Source(url, factory), parse(url)

    def close(self) -> None:
        self._source.close()

    def sweeps(self) -> list[SweepRecord]:
        """In the order they were made."""
        return [self._found(SweepRecord(*row)) for row in self._rows(_sweeps().order_by(sweeps.c.id))]

    def sweep(self, name: str) -> SweepRecord | None:
        """By the name that it was made under."""
        rows = self._rows(_SWEEP, name=name)
        return self._found(SweepRecord(*rows[0])) if rows else None

    def sweep_called(self, name: str) -> SweepRecord | None:
        """By that name, or else by its display name."""
        return self.sweep(name) or next((each for each in self.sweeps() if each.display_name == name), None)

    def trials(self, sweep: int) -> list[TrialRecord]:
        """In order of id."""
        with in_sentences(self._source.engine.url):
            rows = self._fetched(_TRIALS, sweep=sweep)
            return list(trials_of([*zip(*rows, strict=True)], Same())) if rows else []

    def trial(self, trial: int) -> TrialRecord | None:
        rows = self._rows(_all(trials, TrialRecord).where(trials.c.id == trial))
        return TrialRecord(*rows[0]) if rows else None

    def trial_states(self, sweep: int) -> dict[str, int]:
        """How many trials are in each state; repeats are not counted."""
        mine = (trials.c.sweep == sweep) & trials.c.repeat_of.is_(None)
        query = select(trials.c.state, func.count()).where(mine).group_by(trials.c.state)
        return {state: count for state, count in self._rows(query)}  # noqa: C416

    def precisions(self, sweep: int) -> dict[str, int]:
        """How many trials were evaluated in each. What says none is from before there was another."""
        said = func.coalesce(evaluations.c.provenance["precision"].as_string(), "float32")
        query = select(said, func.count()).join(trials, trials.c.id == evaluations.c.trial).group_by(said)
        mine = (trials.c.sweep == sweep) & (evaluations.c.split == "valid")
        return {name: count for name, count in self._rows(query.where(mine))}  # noqa: C416

    def configurations(self, sweep: int) -> dict[int, dict[str, Any]]:
        """Complete dotted values by the configuration's id."""
        columns = (configurations.c["id"], configurations.c["values"])
        query = select(*columns).where(configurations.c.sweep == sweep).order_by(configurations.c.id)
        return {id: values for id, values in self._rows(query)}  # noqa: C416

    def configuration_hashes(self, sweep: int) -> dict[str, int]:
        """Configurations' ids by their hash."""
        query = select(configurations.c.hash, configurations.c.id).where(configurations.c.sweep == sweep)
        return {hash: id for hash, id in self._rows(query)}  # noqa: C416

    def stage(self, key: str) -> StageRecord | None:
        found = self.stages([key])
        return found[0] if found else None

    def stages(self, keys: Sequence[str] | None = None) -> list[StageRecord]:
        """Those of the keys that there are, or all, in order of key."""
        query = _all(stages, StageRecord).order_by(stages.c.key)
        if keys is not None:
            query = query.where(stages.c.key.in_(keys))
        return [self._found(StageRecord(*row)) for row in self._rows(query)]

    def stages_behind(self, keys: Iterable[str]) -> list[StageRecord]:
        """Those of the keys that there are, and those that they go on from; in order of key."""
        return self.stages([key for (key,) in self._rows(keys_behind(keys))])

    def complete_stages(self) -> dict[str, int]:
        """Their steps by key."""
        return dict(self._rows(select(stages.c.key, stages.c.steps).where(stages.c.state == "complete")))

    def stage_uses(self) -> list[StageUse]:
        """Who branches from which stage, or from one that goes on from it, in every sweep; in their order."""
        return [StageUse(*row) for row in self._rows(uses_of_stages())]

    def drivers(self, sweep: int) -> list[DriverRecord]:
        """All there have been, in the order they began."""
        query = _all(drivers, DriverRecord).where(drivers.c.sweep == sweep)
        return [DriverRecord(*row) for row in self._rows(query.order_by(drivers.c.id))]

    def foreign_trials(self, sweep: int) -> list[ForeignTrial]:
        """In the order in which the search knows them."""
        query = _all(foreign_trials, ForeignTrial).where(foreign_trials.c.sweep == sweep)
        return [ForeignTrial(*row) for row in self._rows(query.order_by(foreign_trials.c.place))]

    def latest(self, sweep: int) -> list[LatestRecord]:
        """The newest and the best value of every metric of every trial."""
        query = _all(latest, LatestRecord).join(trials, trials.c.id == latest.c.trial)
        return [LatestRecord(*row) for row in self._rows(query.where(trials.c.sweep == sweep))]

    def curve(
        self, trials: Sequence[int], name: str, points: int = 2000
    ) -> dict[int, list[tuple[int, float]]]:
        """(step, value) by trial, in order of step. Longer ones are thinned evenly; the last point stays."""
        curves: dict[int, list[tuple[int, float]]] = {trial: [] for trial in trials}
        for trial, step, value in self._rows(_CURVE, trials=trials, name=name, points=points):
            curves[trial].append((step, value))
        return curves

    def metric_rows(self, trials: Sequence[int]) -> Sequence[tuple[int, str, int, float]]:
        """(trial, name, step, value): every row of these trials, in this order."""
        query = select(metrics).where(metrics.c.trial.in_(trials))
        return self._fetched(query.order_by(metrics.c.trial, metrics.c.name, metrics.c.step))

    def metric_names(self, trial: int) -> list[str]:
        """In alphabetical order."""
        query = select(latest.c.name).where(latest.c.trial == trial).order_by(latest.c.name)
        return [name for (name,) in self._rows(query)]

    def last_step(self, trial: int) -> int:
        """0 where nothing is stored: what the trainer need not yield again."""
        ((step,),) = self._rows(_LAST_STEP, trial=trial)
        return step or 0

    def evaluations(self, sweep: int, split: str) -> list[EvaluationRecord]:
        """Each trial's best on valid, or its only one on test."""
        query = _all(evaluations, EvaluationRecord).join(trials, trials.c.id == evaluations.c.trial)
        mine = (trials.c.sweep == sweep) & (evaluations.c.split == split)
        return [EvaluationRecord(*row) for row in self._rows(query.where(mine).order_by(evaluations.c.trial))]

    def scores(self, sweep: int) -> list[ScoreRecord]:
        """In order of trial, round and split."""
        query = _all(scores, ScoreRecord).join(trials, trials.c.id == scores.c.trial)
        query = query.where(trials.c.sweep == sweep).order_by(scores.c.trial, scores.c.round, scores.c.split)
        return [ScoreRecord(*row) for row in self._rows(query)]

    def events(self, sweep: int, trial: int | None = None, limit: int = 200) -> list[EventRecord]:
        """The newest `limit`, oldest first."""
        mine = {"sweep": sweep, "most": limit}
        rows = self._rows(_EVENTS, **mine) if trial is None else self._rows(_ITS_EVENTS, **mine, trial=trial)
        return [EventRecord(*row) for row in reversed(rows)]

    def said(self, sweep: int, kind: str) -> bool:
        """Whether there is an event of that kind."""
        query = select(events.c.id).where(events.c.sweep == sweep, events.c.kind == kind).limit(1)
        return bool(self._rows(query))

    def trials_said(self, sweep: int, kind: str) -> set[int]:
        """Those that there is an event of that kind about."""
        mine = (events.c.sweep == sweep) & (events.c.kind == kind) & events.c.trial.is_not(None)
        return {trial for (trial,) in self._rows(select(events.c.trial).where(mine).distinct())}

    def controls(self, sweep: int, undone: bool = True) -> list[ControlRecord]:
        """In the order they were asked."""
        return [ControlRecord(*row) for row in self._rows(_UNDONE if undone else _CONTROLS, sweep=sweep)]

    def notes(self, sweep: int) -> list[NoteRecord]:
        """In the order they were said; which tags stand: sweeper.store.notes.standing."""
        query = _all(notes, NoteRecord).where(notes.c.sweep == sweep)
        return [NoteRecord(*row) for row in self._rows(query.order_by(notes.c.id))]

    def asks(self, sweep: int) -> list[AskRecord]:
        """In order of session and number."""
        query = _all(asks, AskRecord).where(asks.c.sweep == sweep)
        return [AskRecord(*row) for row in self._rows(query.order_by(asks.c.session, asks.c.number))]

    def usage(self, sweep: int) -> list[UsageRecord]:
        """What its workers said of themselves, in order of time: the newest (sweeper/store/usage.py)."""
        query = _all(usage, UsageRecord).where(usage.c.sweep == sweep)
        return [UsageRecord(*row) for row in self._rows(query.order_by(usage.c.time, usage.c.worker))]

    def event_counts(self, sweep: int) -> dict[str, int]:
        """How many events there are of each kind."""
        query = select(events.c.kind, func.count()).where(events.c.sweep == sweep).group_by(events.c.kind)
        return {kind: count for kind, count in self._rows(query)}  # noqa: C416

    def version(self) -> int:
        """Changes whenever anything was committed by anyone: the dashboard's cache key.

        Comparable within one Reader only. It may change without need, never fail to change.
        """
        return self._source.version()

    @contextmanager
    def one_moment(self) -> Iterator[Connection]:
        """All that is read within is of one moment."""
        with transaction(self._source.engine) as connection:
            connection.exec_driver_sql(_ONE_MOMENT[connection.dialect.name])
            yield connection

    def _found(self, record: Placed) -> Placed:
        """With the place where its files are."""
        return record._replace(folder=as_found(record.folder, self._store))

    def _rows(self, query: Select[Any], **values: Any) -> Sequence[Any]:
        with transaction(self._source.engine) as connection:
            return connection.execute(query, values).all()

    def _fetched(self, query: Select[Any], **values: Any) -> Sequence[tuple[Any, ...]]:
        with transaction(self._source.engine) as connection:
            return fetched(connection, query, **values)


def trial_called(reader: Reader, sweep: int, number: int) -> TrialRecord | None:
    """The trial that people call so (TrialRecord.called)."""
    return next((trial for trial in reader.trials(sweep) if trial.called == number), None)


def _sweeps() -> Select[Any]:
    """With the display name that was given last."""
    given = select(notes.c.text).where(notes.c.sweep == sweeps.c.id, notes.c.kind == NAME)
    last = given.order_by(notes.c.id.desc()).limit(1).scalar_subquery()
    return _all(sweeps, SweepRecord, but=("display_name",)).add_columns(func.coalesce(last, ""))


def _all(table: Table, record: type[Any], but: Sequence[str] = ()) -> Select[Any]:
    """The table's columns in the order of the record's fields."""
    return select(*(table.c[field] for field in record._fields if field not in but))


# What a driver asks often is built once: that takes longer than SQLite takes to carry it out.
_SWEEP = _sweeps().where(sweeps.c.name == bindparam("name"))
_TRIALS = select(*columns_of(trials, TrialRecord)).where(trials.c.sweep == bindparam("sweep"))
_TRIALS = _TRIALS.order_by(trials.c.id)
_LAST_STEP = select(func.max(latest.c.step)).where(latest.c.trial == bindparam("trial"))
_EVENTS = _all(events, EventRecord).where(events.c.sweep == bindparam("sweep"))
_EVENTS = _EVENTS.order_by(events.c.id.desc()).limit(bindparam("most", type_=BigInteger))
_ITS_EVENTS = _EVENTS.where(events.c.trial == bindparam("trial"))
_CONTROLS = _all(controls, ControlRecord).where(controls.c.sweep == bindparam("sweep"))
_CONTROLS = _CONTROLS.order_by(controls.c.id)
_UNDONE = _CONTROLS.where(controls.c.done.is_(None))


def _curve() -> Select[Any]:
    """One pass over the covering key, numbered within each trial."""
    order = func.row_number().over(partition_by=metrics.c.trial, order_by=metrics.c.step)
    count = func.count().over(partition_by=metrics.c.trial)
    rows = select(*metrics.c["trial", "step", "value"], order.label("order"), count.label("count"))
    mine = metrics.c.trial.in_(bindparam("trials", expanding=True))
    numbered = rows.where(mine, metrics.c.name == bindparam("name")).subquery()
    points = bindparam("points", type_=BigInteger)  # who wants all of them says a large number
    stride = (numbered.c["count"] + points - 1) // points
    kept = or_((numbered.c["count"] - numbered.c.order) % stride == 0, numbered.c.order == 1)
    query = select(numbered.c.trial, numbered.c.step, numbered.c.value).where(kept)
    return query.order_by(numbered.c.trial, numbered.c.step)


_CURVE = _curve()
