"""What is kept of a sweep in memory, brought up to date by what has changed: all that a board is made of.

Arrays, not objects: ten thousand trials have a quarter of a million latest values, and as many nats."""

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import repeat
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Column, ColumnElement, Connection, Table, Text, cast, func, select, true

from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, LatestRecord, ScoreRecord, SweepRecord, TrialRecord
from sweeper.store.schema import configurations, evaluations, latest, scores, trials
from sweeper.store.source import AT_ONCE, Same, columns_of, fetched, parsed, trials_of

EVER = -1  # a version below all
MANY = 300  # rows that are asked for by their keys; of more, all are read

Kind = TypeVar("Kind")


class Latest(NamedTuple):
    """The newest and the best value of each metric of one trial that was read, in alphabetical order of their
    names."""

    trial: int
    last: int  # the newest step of any metric, read or not
    names: tuple[str, ...]
    step: Sequence[int]
    value: Sequence[float]
    best: Sequence[float]
    best_step: Sequence[int]

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
    _unread: Collection[str] = ()  # of a trial

    def __init__(self, reader: Reader, name: str, metrics: Collection[str] | None = None):
        """Reads nothing yet. metrics: whose latest values are read; None: of all."""
        self.reader, self.name, self._metrics = reader, name, metrics
        self._forget()

    def _forget(self) -> None:
        self._version, self._versions = EVER, dict[int, int]()
        self.trials: dict[int, TrialRecord] = {}
        self.values: Mapping[int, dict[str, Any]] = {}  # by configuration: complete, dotted
        self.latest: Mapping[int, Latest] = {}
        # By split; another one where any has changed.
        self.evaluations: dict[str, Mapping[int, EvaluationRecord]] = {"valid": {}, "test": {}}
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
        with self._moment() as connection:
            changed = self._read(connection)
            if not anew and self._is_of_another_history(connection):
                anew = True
                self._forget()
                self._read(connection)
        return None if anew else changed

    @property
    def all_latest(self) -> Mapping[int, Latest]:
        """Of each trial all that is read, some of it perhaps when somebody asks for it."""
        return self.latest

    def _moment(self) -> AbstractContextManager[Connection]:
        return self.reader.one_moment()

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
        columns = columns_of(trials, TrialRecord, self._unread)
        rows = fetched(connection, select(trials.c.version, *columns).where(since).order_by(trials.c.id))
        if not rows:
            return set()
        versions, *fields = zip(*rows, strict=True)
        found = {trial.id: trial for trial in trials_of(fields, self._same)}
        self.trials |= found
        self._versions |= dict(zip(found, versions, strict=True))
        return set(found)

    def _read_values(self, connection: Connection) -> None:
        """Of configurations that are new: none changes."""
        new = configurations.c.id > max(self.values, default=0)
        self.values = {**self.values, **self._values(connection, new)}

    def _values(self, connection: Connection, which: ColumnElement[bool]) -> dict[int, dict[str, Any]]:
        query = select(configurations.c.id, cast(configurations.c["values"], Text)).where(which)
        query = query.where(configurations.c.sweep == self.sweep.id).order_by(configurations.c.id)
        rows = fetched(connection, query)
        return dict(zip((id for id, _ in rows), parsed([text for _, text in rows]), strict=True))

    def _read_latest(self, connection: Connection, since: ColumnElement[bool]) -> None:
        self.latest = {**self.latest, **self._latest(connection, since)}

    def _latest(self, connection: Connection, which: ColumnElement[bool]) -> dict[int, Latest]:
        """which: trials."""
        # No join: SQLite would sort a quarter of a million rows that lie in this order already.
        mine = latest.c.trial.in_(select(trials.c.id).where(which))
        newest = select(latest.c.trial, func.max(latest.c.step)).where(mine).group_by(latest.c.trial)
        last = dict(fetched(connection, newest))
        query = select(*columns_of(latest, LatestRecord)).order_by(latest.c.trial, latest.c.name)
        named = mine if self._metrics is None else mine & latest.c.name.in_(self._metrics)
        rows = fetched(connection, query.where(named)) if last else ()
        of, names, step, value, best, best_step = zip(*rows, strict=True) if rows else ((),) * 6
        columns = array("q", step), array("d", value), array("d", best), array("q", best_step)
        count, end = Counter(of), 0  # of a trial's rows: they lie together
        found = {}
        for trial, newest_step in sorted(last.items()):
            at, end = end, end + count[trial]
            shared = self._shared.setdefault("\0".join(names[at:end]), names[at:end])
            found[trial] = Latest(trial, newest_step, shared, *(each[at:end] for each in columns))
        return found

    def _read_evaluations(self, connection: Connection, since: ColumnElement[bool]) -> None:
        found: dict[str, dict[int, EvaluationRecord]] = defaultdict(dict)
        for each in self._evaluated(connection, evaluations, EvaluationRecord, since):
            found[each.split][each.trial] = each
        for split, new in found.items():
            self.evaluations[split] = {**self.evaluations.get(split, {}), **new}

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
            yield from map(record._make, zip(*fields.values(), strict=True))


class WhenAsked(Mapping[int, Kind]):
    """Of a table what somebody asks for: rows that were said to be looked at, or else all of them."""

    def __init__(self, read: Callable[[Collection[int] | None], Mapping[int, Kind]]):
        """read: those of some keys that there are; None: of all."""
        self._read, self._found, self._known = read, dict[int, Kind](), set[int]()
        self._all = False

    def ahead(self, keys: Iterable[int]) -> None:
        new = set() if self._all else set(keys) - self._known
        if len(new) > MANY:
            self._read_all()
        elif new:
            self._found |= self._read(new)
            self._known |= new

    def _read_all(self) -> None:
        if not self._all:
            self._found, self._all = dict(self._read(None)), True

    def __getitem__(self, key: int) -> Kind:
        if key not in self._known:
            self._read_all()
        return self._found[key]

    def __iter__(self) -> Iterator[int]:
        self._read_all()
        return iter(self._found)

    def __len__(self) -> int:
        self._read_all()
        return len(self._found)


def ahead(of: Mapping[int, Any], keys: Iterable[int]) -> None:
    """These are looked at next: where they are not read yet, they are at once."""
    if isinstance(of, WhenAsked):
        of.ahead(keys)


class Glance(Followed):
    """A sweep at one moment, looked at once, while that lasts (`glance`). All that ranks is read, and of
    the rest what somebody asks for. `latest` has val_nelbo alone, `all_latest` the others, too."""

    _unread = ("params", "distributions", "system_attrs")  # what the search has said

    def __init__(self, reader: Reader, name: str, metrics: Collection[str], connection: Connection):
        super().__init__(reader, name, metrics)
        self._connection = connection
        self._all_latest: Mapping[int, Latest] = {}

    @property
    def all_latest(self) -> Mapping[int, Latest]:
        return self._all_latest

    def _moment(self) -> AbstractContextManager[Connection]:
        return nullcontext(self._connection)

    def _read_values(self, connection: Connection) -> None:
        column = configurations.c.id
        self.values = WhenAsked(lambda keys: self._values(connection, _among(column, keys)))

    def _read_latest(self, connection: Connection, since: ColumnElement[bool]) -> None:
        self._all_latest = WhenAsked(lambda keys: self._latest(connection, since & _among(trials.c.id, keys)))
        mine = latest.c.trial.in_(select(trials.c.id).where(since)) & (latest.c.name == "val_nelbo")
        query = select(*(each for each in columns_of(latest, LatestRecord) if each.name != "name"))
        rows = fetched(connection, query.where(mine))
        of, *columns = zip(*rows, strict=True) if rows else ((),) * 5
        found = map(Latest, of, repeat(0), repeat(("val_nelbo",)), *(zip(each) for each in columns))
        self.latest = dict(zip(of, found, strict=True))

    def _read_evaluations(self, connection: Connection, since: ColumnElement[bool]) -> None:
        def of(split: str, keys: Collection[int] | None = None) -> dict[int, EvaluationRecord]:
            mine = since & _among(trials.c.id, keys) & (evaluations.c.split == split)
            found = self._evaluated(connection, evaluations, EvaluationRecord, mine)
            return {each.trial: each for each in found}

        self.evaluations = {"valid": of("valid"), "test": WhenAsked(partial(of, "test"))}


def _among(column: Column[Any], keys: Collection[int] | None) -> ColumnElement[bool]:
    return true() if keys is None else column.in_(sorted(keys))


@contextmanager
def glance(reader: Reader, name: str, metrics: Collection[str]) -> Iterator[Glance]:
    """metrics: that rows have. Raises StoreError."""
    with reader.one_moment() as connection:
        yield Glance(reader, name, metrics, connection)
