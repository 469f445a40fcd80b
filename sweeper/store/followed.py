"""What is kept of a sweep in memory, brought up to date by what has changed: all that a board is made of.

Arrays, not objects: ten thousand trials have a quarter of a million latest values, and as many nats."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Table, Text, cast, func, select

from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, LatestRecord, ScoreRecord, SweepRecord, TrialRecord
from sweeper.store.schema import configurations, evaluations, latest, scores, trials
from sweeper.store.source import AT_ONCE, Same, columns_of, fetched, parsed, trials_of

EVER = -1  # a version below all


class Latest(NamedTuple):
    """The newest and the best value of each metric of one trial that was read, in alphabetical order of their
    names."""

    trial: int
    last: int  # the newest step of any metric, read or not
    names: tuple[str, ...]
    step: "array[int]"
    value: "array[float]"
    best: "array[float]"
    best_step: "array[int]"

    def best_of(self, name: str) -> float | None:
        try:
            return self.best[self.names.index(name)]
        except ValueError:
            return None

    def records(self) -> dict[str, LatestRecord]:
        """By name."""
        columns = zip(self.names, self.step, self.value, self.best, self.best_step, strict=True)
        return {each[0]: LatestRecord(self.trial, *each) for each in columns}


class Followed:
    """A sweep as it was at one moment, that of the last `refresh`. One thread at a time.

    By trial, unless it is said otherwise; trials in order of their ids."""

    sweep: SweepRecord

    def __init__(self, reader: Reader, name: str, metrics: Collection[str] | None = None):
        """Reads nothing yet. metrics: whose latest values are read; None: of all."""
        self.reader, self.name, self._metrics = reader, name, metrics
        self._forget()

    def _forget(self) -> None:
        self._version, self._versions = EVER, dict[int, int]()
        self.trials: dict[int, TrialRecord] = {}
        self.values: dict[int, dict[str, Any]] = {}  # by configuration: complete, dotted
        self.latest: dict[int, Latest] = {}
        self.evaluations: dict[str, dict[int, EvaluationRecord]] = {"valid": {}, "test": {}}  # by split
        self.scores: dict[int, list[ScoreRecord]] = {}  # in order of round and split
        self._same = Same()
        self._shared: dict[str, tuple[str, ...]] = {}  # names of metrics

    def refresh(self) -> set[int] | None:
        """The trials that have changed since the last one; None: all is as if never read before.

        Raises StoreError where the sweep is not there any more."""
        sweep = self.reader.sweep(self.name)
        if sweep is None:
            raise StoreError(f"there is no sweep {self.name!r} in this store any more")
        anew = self._version == EVER or (sweep.id, sweep.created) != (self.sweep.id, self.sweep.created)
        if anew:
            self._forget()
        self.sweep = sweep
        with self.reader.one_moment() as connection:
            changed = self._read(connection)
            if not anew and self._is_of_another_history(connection):
                anew = True
                self._forget()
                self._read(connection)
        return None if anew else changed

    def all_scores(self) -> list[ScoreRecord]:
        """In order of trial, round and split."""
        return [each for _, mine in sorted(self.scores.items()) for each in mine]

    def _is_of_another_history(self, connection: Connection) -> bool:
        """Whether the store is not what it was with changes since: an older copy was put in its place."""
        mine = trials.c.sweep == self.sweep.id
        found = connection.execute(select(func.count(), func.sum(trials.c.version)).where(mine)).one()
        return (found[0], int(found[1] or 0)) != (len(self._versions), sum(self._versions.values()))

    def _read(self, connection: Connection) -> set[int]:
        since = (trials.c.sweep == self.sweep.id) & (trials.c.version > self._version)
        changed = self._read_trials(connection, since)
        self._read_values(connection)
        if changed:
            self._read_latest(connection, since)
            self._read_evaluations(connection, since)
            self._read_scores(connection, since)
            self._version = max(self._version, *(self._versions[each] for each in changed))
        elif self._version == EVER:
            self._version = 0
        return changed

    def _read_trials(self, connection: Connection, since: ColumnElement[bool]) -> set[int]:
        query = select(trials.c.version, *columns_of(trials, TrialRecord)).where(since).order_by(trials.c.id)
        if not (rows := fetched(connection, query)):
            return set()
        versions, *columns = zip(*rows, strict=True)
        found = {trial.id: trial for trial in trials_of(columns, self._same)}
        self.trials |= found
        self._versions |= dict(zip(found, versions, strict=True))
        return set(found)

    def _read_values(self, connection: Connection) -> None:
        """Of configurations that are new: none changes."""
        last = max(self.values, default=0)
        new = (configurations.c.sweep == self.sweep.id) & (configurations.c.id > last)
        query = select(configurations.c.id, cast(configurations.c["values"], Text)).where(new)
        rows = fetched(connection, query.order_by(configurations.c.id))
        self.values |= zip((id for id, _ in rows), parsed([text for _, text in rows]), strict=True)

    def _read_latest(self, connection: Connection, since: ColumnElement[bool]) -> None:
        # No join: SQLite would sort a quarter of a million rows that lie in this order already.
        mine = latest.c.trial.in_(select(trials.c.id).where(since))
        newest = select(latest.c.trial, func.max(latest.c.step)).where(mine).group_by(latest.c.trial)
        if not (last := dict(fetched(connection, newest))):
            return
        query = select(*columns_of(latest, LatestRecord)).order_by(latest.c.trial, latest.c.name)
        named = mine if self._metrics is None else mine & latest.c.name.in_(self._metrics)
        rows = fetched(connection, query.where(named))
        of, names, step, value, best, best_step = zip(*rows, strict=True) if rows else ((),) * 6
        columns = array("q", step), array("d", value), array("d", best), array("q", best_step)
        count, end = Counter(of), 0  # of a trial's rows: they lie together
        for trial, newest_step in sorted(last.items()):
            at, end = end, end + count[trial]
            found = self._shared.setdefault("\0".join(names[at:end]), names[at:end])
            self.latest[trial] = Latest(trial, newest_step, found, *(each[at:end] for each in columns))

    def _read_evaluations(self, connection: Connection, since: ColumnElement[bool]) -> None:
        for each in self._evaluated(connection, evaluations, EvaluationRecord, since):
            self.evaluations.setdefault(each.split, {})[each.trial] = each

    def _read_scores(self, connection: Connection, since: ColumnElement[bool]) -> None:
        found: dict[int, list[ScoreRecord]] = defaultdict(list)
        for each in self._evaluated(connection, scores, ScoreRecord, since):
            found[each.trial].append(each)
        for mine in found.values():
            mine.sort(key=lambda each: (each.round, each.split))
        self.scores |= found

    def _evaluated(
        self, connection: Connection, table: Table, record: Any, since: ColumnElement[bool]
    ) -> Iterator[Any]:
        query = select(*columns_of(table, record)).join(trials, trials.c.id == table.c.trial).where(since)
        rows = fetched(connection, query)
        for at in range(0, len(rows), AT_ONCE):
            fields: dict[str, Any] = dict(
                zip(record._fields, zip(*rows[at : at + AT_ONCE], strict=True), strict=True)
            )
            for name in {"identity", "tokens", "exact"} & fields.keys():
                fields[name] = map(self._same, fields[name])
            fields["provenance"] = parsed(fields["provenance"])
            fields["nats"] = [array("d", each) for each in parsed(fields["nats"])]
            yield from map(record, *fields.values())
