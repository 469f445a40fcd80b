"""The store's rows as a board: configurations, not runs, ranked with intervals and ties."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sweeper.results.pareto import on_the_front
from sweeper.results.ranking import STATES, Entry, Ranked, entries_of, ranking
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import LatestRecord, SweepRecord, TrialRecord

SCHEMA_VERSION = 1


class Row(NamedTuple):
    """One configuration. val_* of a ranked row are its standing's (sweeper/statistics/intervals.py)."""

    rank: int | None  # 1 for all that are tied with the best (confirmed one, once there is one); or None
    configuration: int
    values: dict[str, Any]  # complete, dotted
    trials: list[int]  # repeats left out
    seeds: int  # runs that the numbers are made of
    state: str
    step: int
    val_ppl: float | None
    val_ppl_low: float | None  # 95%; None where there is no rank
    val_ppl_high: float | None
    tied_with_best: bool  # true of the best itself
    val_nelbo: float | None
    val_ppl_as_run: float | None  # of its runs as they are: not adjusted for which seeds they had
    roles: list[str]
    why: str  # of the tie: 'best', 'one seed', 'within the error'
    difference: float | None  # to the best, nats per token
    margin: float | None  # what the difference must exceed to count; None: unknown
    note: str  # why it has no rank, or what else to know
    metrics: dict[str, float]  # every other one, the mean over its runs
    # Of its runs after the search, on seeds that had no part in picking it; all above is the search's.
    confirmed_seeds: int = 0
    confirmed_nelbo: float | None = None
    confirmed_ppl: float | None = None
    confirmed_low: float | None = None  # 95%, of the perplexity
    confirmed_high: float | None = None
    confirmed_tied: bool = False  # with the best confirmed one; true of that itself
    confirmed_why: str = ""
    confirmed_difference: float | None = None
    confirmed_margin: float | None = None
    confirmed_test_ppl: float | None = None
    pareto: bool | None = None  # whether it is on the front of the sweep's metrics; None: there is but one

    def to_json(self) -> dict[str, Any]:
        flat = {key: value for key, value in self._asdict().items() if key != "metrics"}
        return {**flat, **{name: value for name, value in self.metrics.items() if name not in flat}}


class Board(NamedTuple):
    id: int
    name: str
    state: str
    note: str
    metric: str  # what the sweep ranks by: val_nelbo, val_ppl and val_bpb order alike
    trials: dict[str, int]  # how many in each state, repeats left out
    searched: list[str]  # the dotted names that vary between configurations
    rows: list[Row]  # confirmed ones first, then ranked ones; best first
    also: tuple[str, ...] = ()  # the other metrics that the sweep searches on

    @property
    def confirmed(self) -> list[Row]:
        return [row for row in self.rows if row.confirmed_seeds]

    @property
    def winner(self) -> Row | None:
        """The configuration that is better than every other beyond the error; None while there is none.

        Once there are confirmed numbers, they alone decide.
        """
        first = [row for row in self.rows if row.rank == 1]
        if len(first) != 1 or len(self.confirmed) == 1:
            return None
        why = first[0].confirmed_why if self.confirmed else first[0].why
        return first[0] if why == "best" else None

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "sweep": {"id": self.id, "name": self.name, "state": self.state, "trials": self.trials},
            "rows": [row.to_json() for row in self.rows],
        }


def leaderboard(reader: Reader, sweep_name: str) -> Board:
    """Raises StoreError where the store has no such sweep."""
    sweep = sweep_named(reader, sweep_name)
    # In this order: what is read later may know more, never less, than what was read before.
    trials = [trial for trial in reader.trials(sweep.id) if trial.repeat_of is None]
    evaluations = {each.trial: each for each in reader.evaluations(sweep.id, "valid")}
    latest = reader.latest(sweep.id)
    values = reader.configurations(sweep.id)

    searching = [trial for trial in trials if trial.role != "confirm"]
    entries = entries_of(searching, evaluations, latest)
    rows = [_ranked(each, values) for each in ranking(entries)]
    ranked = {row.configuration for row in rows}
    rest = [_row(entry, values) for entry in entries if entry.configuration not in ranked]
    rest.sort(key=lambda row: (_order(row.state), row.val_nelbo or math.inf, row.configuration))
    confirming = [trial for trial in trials if trial.role == "confirm"]
    rows = _with_confirmed(rows, ranking(entries_of(confirming, evaluations, latest)), confirming)

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
    )


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


def searched(values: Sequence[dict[str, Any]]) -> list[str]:
    """The names whose values differ, a missing one being a value too; in alphabetical order."""
    names = {name for each in values for name in each}
    absent = object()
    return sorted(
        name
        for name in names
        if any(each.get(name, absent) != values[0].get(name, absent) for each in values)
    )


def _with_confirmed(
    rows: Sequence[Row], confirmed: Sequence[Ranked], confirming: Sequence[TrialRecord]
) -> list[Row]:
    """The confirmed ones first, by their confirmed numbers; the others after them, as they were."""
    mine: dict[int, list[int]] = defaultdict(list)
    for trial in confirming:
        mine[trial.configuration].append(trial.id)
    others = {
        row.configuration: row._replace(
            trials=row.trials + mine[row.configuration],
            roles=row.roles + ["confirm"] * bool(mine[row.configuration]),
        )
        for row in rows
    }
    known = [each for each in confirmed if each.entry.configuration in others]
    first = [_confirmed(others.pop(each.entry.configuration), each) for each in known]
    if not first:
        return list(others.values())
    return first + [row._replace(rank=place) for place, row in enumerate(others.values(), len(first) + 1)]


def _confirmed(row: Row, confirmed: Ranked) -> Row:
    standing = confirmed.standing
    return row._replace(
        rank=confirmed.rank,
        confirmed_seeds=standing.seeds,
        confirmed_nelbo=standing.nelbo,
        confirmed_ppl=_exp(standing.nelbo),
        confirmed_low=_exp(standing.low),
        confirmed_high=_exp(standing.high),
        confirmed_tied=standing.tied_with_best,
        confirmed_why=standing.why,
        confirmed_difference=standing.difference,
        confirmed_margin=standing.margin if math.isfinite(standing.margin) else None,
        confirmed_test_ppl=_metrics(confirmed.entry.latest).get("test_ppl"),
    )


def _ranked(ranked: Ranked, values: dict[int, dict[str, Any]]) -> Row:
    entry, standing = ranked.entry, ranked.standing
    row, adjusted = _row(entry, values), standing.nelbo - standing.mean
    metrics = dict(row.metrics)
    if "val_bpb" in metrics:  # proportional to nats per token: the same bytes for everybody
        metrics["val_bpb"] *= standing.nelbo / standing.mean
    return row._replace(
        rank=ranked.rank,
        val_ppl=_exp(standing.nelbo),
        val_ppl_low=_exp(standing.low),
        val_ppl_high=_exp(standing.high),
        tied_with_best=standing.tied_with_best,
        val_nelbo=standing.nelbo,
        val_ppl_as_run=_exp(standing.mean),
        why=standing.why,
        difference=standing.difference,
        margin=standing.margin if math.isfinite(standing.margin) else None,
        note=f"adjusted by {adjusted:+.4f} nats/token for its seeds" if abs(adjusted) > 1e-9 else "",
        metrics=metrics,
    )


def _row(entry: Entry, values: dict[int, dict[str, Any]]) -> Row:
    """Without a rank: what is stored, as it is."""
    note = ""
    if entry.state == "pruned":
        note = next(f"pruned {trial.reason}" for trial in entry.trials if trial.state == "pruned")
    if entry.state == "complete":
        note = "evaluated on another text or in another way" if entry.evaluated else "never evaluated"
    metrics = _metrics(entry.latest)
    nelbo = metrics.pop("val_nelbo", None)
    metrics.pop("val_ppl", None)
    return Row(
        rank=None,
        configuration=entry.configuration,
        values=values[entry.configuration],
        trials=[trial.id for trial in entry.trials],
        seeds=len(entry.evaluated),
        state=entry.state,
        step=max((record.step for record in entry.latest), default=0),
        val_ppl=None if nelbo is None else _exp(nelbo),
        val_ppl_low=None,
        val_ppl_high=None,
        tied_with_best=False,
        val_nelbo=nelbo,
        val_ppl_as_run=None if nelbo is None else _exp(nelbo),
        roles=sorted({trial.role for trial in entry.trials}),
        why="",
        difference=None,
        margin=None,
        note=note,
        metrics=metrics,
    )


def _metrics(latest: Iterable[LatestRecord]) -> dict[str, float]:
    """The mean over runs: of their best where a metric has a direction, else of their latest."""
    found: dict[str, list[float]] = defaultdict(list)
    for record in latest:
        found[record.name].append(record.best)
    metrics = {name: math.fsum(best) / len(best) for name, best in sorted(found.items())}
    if "test_nelbo" in metrics:
        metrics["test_ppl"] = math.exp(metrics["test_nelbo"])  # as everywhere: exp of the mean
    return metrics


def _order(state: str) -> int:
    return STATES.index(state) if state in STATES else len(STATES)


def _exp(nelbo: float) -> float | None:
    """The perplexity; None where no float is as large (JSON has no word for infinity)."""
    return math.exp(nelbo) if nelbo < 700 else None
