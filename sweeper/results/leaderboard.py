"""The store's rows as a board: configurations, not runs, ranked with intervals and ties."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeper.results.alarms import alarms
from sweeper.results.answer import Answer, answers
from sweeper.results.estimates import estimates, gaps
from sweeper.results.fresh import Fresh, fresh
from sweeper.results.limits import Limits, Prices, limits
from sweeper.results.pareto import on_the_front
from sweeper.results.ranking import AFTER_SEARCH, STATES, Ranked, entries_of, ranked_by, ranking
from sweeper.results.row import Row
from sweeper.results.rows import ranked_row, unranked_row, with_fresh, with_optimism
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord

SCHEMA_VERSION = 2  # 2: rank_low, rank_high, regret, p_best, p_within; = by comparisons with the best


ENDED = ("complete", "failed")


class Board(NamedTuple):
    id: int
    name: str
    state: str
    note: str
    metric: str  # what the sweep ranks by: val_nelbo, val_ppl and val_bpb order alike
    trials: dict[str, int]  # how many in each state, repeats left out
    searched: list[str]  # the dotted names that vary between configurations
    rows: list[Row]  # those with fresh numbers first, then ranked ones; best first
    also: tuple[str, ...] = ()  # the other metrics that the sweep searches on
    winning: int | None = None  # configuration
    effective_documents: float = 0.0  # as many equal ones would say as much
    fresh: Fresh | None = None  # what was measured after the search
    limits: Sequence[str] = ()  # lines: what keeps rows tied with the first, and what would tell; if anything
    alarms: Sequence[str] = ()  # rows that are better than they can be
    varied: tuple[str, ...] = ()  # what the specification varies, in its order: no defaults that come with it
    numbered_before: bool = False  # it ended before trials had numbers, under another rule

    @property
    def ended(self) -> bool:
        """Whether it does not change any more."""
        return self.state in ENDED

    @property
    def confirmed(self) -> list[Row]:
        return [row for row in self.rows if row.confirmed_seeds]

    @property
    def winner(self) -> Row | None:
        """The configuration that is better than every other beyond the error; None while there is none.

        Once there are fresh numbers, they alone decide.
        """
        return next((row for row in self.rows if row.configuration == self.winning), None)

    @property
    def answers(self) -> tuple[Answer, ...]:
        return answers(self.rows, self.fresh, self.winning, self.varied or self.searched)

    @property
    def said(self) -> tuple[str, ...]:
        """Lines above the rows: the answers, and what limits them while they are not settled."""
        found = self.answers
        more = () if all(each.settled for each in found) else self.limits
        return (*(each.text for each in found), *more)

    def to_json(self) -> dict[str, Any]:
        found = self.answers
        return {
            "schema_version": SCHEMA_VERSION,
            "answer": {"text": "\n".join(each.text for each in found), "parts": [a.to_json() for a in found]},
            "limits": list(self.limits),
            "alarms": list(self.alarms),
            "sweep": {"id": self.id, "name": self.name, "state": self.state, "trials": self.trials},
            "rows": [row.to_json() for row in self.rows],
        }


def leaderboard(reader: Reader, sweep_name: str) -> Board:
    """Raises StoreError where the store has no such sweep."""
    sweep = sweep_named(reader, sweep_name)
    # In this order: what is read later may know more, never less, than what was read before.
    trials = [trial for trial in reader.trials(sweep.id) if trial.repeat_of is None]
    evaluations = ranked_by(reader, sweep.id)
    latest = reader.latest(sweep.id)
    values = reader.configurations(sweep.id)

    entries = entries_of([trial for trial in trials if trial.role not in AFTER_SEARCH], evaluations, latest)
    search = ranking(entries)
    ranked = {each.entry.configuration for each in search.rows}
    rest = [unranked_row(entry, values) for entry in entries if entry.configuration not in ranked]
    rest.sort(key=lambda row: (_order(row.state), row.val_nelbo or math.inf, row.configuration))
    test = {each.trial: each for each in reader.evaluations(sweep.id, "test")}
    after = fresh(reader, sweep, trials, evaluations, latest, search, values, test)
    later = [trial for trial in trials if trial.role in AFTER_SEARCH]
    also = estimates(search.rows, test)
    by_search = [
        ranked_row(each, values)._replace(estimates=also.get(each.entry.configuration, {}))
        for each in search.rows
    ]
    rows = with_fresh(by_search, after, later)
    if after is not None:
        rows = with_optimism(rows, gaps([each.entry for each in search.rows], test), after.gaps)
    tied = _limits(reader, sweep, search.rows, after, values)
    rows = [row._replace(limits=tied.of.get(row.configuration)) for row in rows]

    metrics = metrics_of(sweep)
    if len(metrics) > 1:
        best = on_the_front(rows, metrics)
        rows = [row._replace(pareto=row.configuration in best) for row in rows]
    states: dict[str, int] = defaultdict(int)
    for trial in trials:
        states[trial.state] += 1
    return Board(
        id=sweep.id,
        name=sweep.name,
        state=sweep.state,
        note=sweep.note,
        metric=metrics[0],
        trials=dict(states),
        searched=searched([values[entry.configuration] for entry in entries]),
        rows=rows + rest,
        also=tuple(metrics[1:]),
        winning=search.winner if after is None else after.winner,
        effective_documents=search.effective_documents,
        fresh=after,
        limits=tied.lines,
        alarms=alarms(entries),
        varied=varied(sweep.spec),
        numbered_before=sweep.state in ENDED and all(trial.trial_number is None for trial in trials),
    )


def _limits(
    reader: Reader,
    sweep: SweepRecord,
    searched: Sequence[Ranked],
    after: Fresh | None,
    values: Mapping[int, dict[str, Any]],
) -> Limits:
    """Of the rows that decide."""
    kind = "search" if after is None else "confirmed" if after.settle is None else "race"
    groups = [searched] if after is None else after.ranked
    keys = {trial.stage for group in groups for row in group for trial in row.entry.trials}
    stages = {stage.key: stage for stage in reader.stages(sorted(filter(None, keys)))}
    return limits(groups, kind, values, Prices(stages, reader.scores(sweep.id)))


def sweep_named(reader: Reader, name: str) -> SweepRecord:
    """Raises StoreError where the store has no such sweep."""
    sweep = reader.sweep(name)
    if sweep is None:
        names = ", ".join(each.name for each in reader.sweeps()) or "none"
        raise StoreError(f"there is no sweep {name} in this database; there are: {names}")
    return sweep


def metrics_of(sweep: SweepRecord) -> list[str]:
    """What the search optimises; the first one ranks and prunes."""
    metric = sweep.spec.get("metric", "val_ppl")
    return [metric] if isinstance(metric, str) else list(metric)


def varied(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of its space and of its baselines."""
    entries = spec.get("always") or ()
    return tuple(dict.fromkeys([*(spec.get("space") or ()), *(key for entry in entries for key in entry)]))


def searched(values: Sequence[dict[str, Any]]) -> list[str]:
    """The names whose values differ, a missing one being a value too; in alphabetical order."""
    names = {name for each in values for name in each}
    absent = object()
    return sorted(
        name
        for name in names
        if any(each.get(name, absent) != values[0].get(name, absent) for each in values)
    )


def _order(state: str) -> int:
    return STATES.index(state) if state in STATES else len(STATES)
