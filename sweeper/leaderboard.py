"""The store's rows as a board: configurations, not runs, ranked with intervals and ties."""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sweeper.statistics import Run, Standing, standings
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, LatestRecord, TrialRecord

SCHEMA_VERSION = 1
# A row is in the first of these states that one of its trials is in.
STATES = ("complete", "running", "queued", "pruned", "stopped", "lost", "failed")


class Row(NamedTuple):
    """One configuration. val_* of a ranked row are its standing's (sweeper/statistics.py)."""

    rank: int | None  # 1 for all that are tied with the best; None: not ranked
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
    rows: list[Row]  # ranked ones first, best first

    @property
    def winner(self) -> Row | None:
        """The configuration that is better than every other beyond the error; None while there is none."""
        first = [row for row in self.rows if row.rank == 1]
        return first[0] if len(first) == 1 and first[0].why == "best" else None

    def to_json(self) -> dict[str, Any]:
        return {
            "schema_version": SCHEMA_VERSION,
            "sweep": {"id": self.id, "name": self.name, "state": self.state, "trials": self.trials},
            "rows": [row.to_json() for row in self.rows],
        }


class _Entry(NamedTuple):
    """A configuration's trials and what is stored of them."""

    configuration: int
    trials: list[TrialRecord]
    evaluated: list[EvaluationRecord]  # of the trials that count, one a seed
    latest: list[LatestRecord]  # of the trials that count

    @property
    def state(self) -> str:
        present = {trial.state for trial in self.trials}
        return next((state for state in STATES if state in present), self.trials[0].state)


def leaderboard(reader: Reader, sweep_name: str) -> Board:
    """Raises StoreError where the store has no such sweep."""
    sweep = reader.sweep(sweep_name)
    if sweep is None:
        names = ", ".join(each.name for each in reader.sweeps()) or "none"
        raise StoreError(f"there is no sweep {sweep_name} in this database; there are: {names}")
    # In this order: what is read later may know more, never less, than what was read before.
    trials = [trial for trial in reader.trials(sweep.id) if trial.repeat_of is None]
    evaluations = {each.trial: each for each in reader.evaluations(sweep.id, "valid")}
    latest = reader.latest(sweep.id)
    values = reader.configurations(sweep.id)

    entries = _entries(trials, evaluations, latest)
    group = _comparable([entry for entry in entries if entry.state == "complete"])
    by_id = {entry.configuration: entry for entry in group}
    # Sorted by NELBO; but what is surely worse than the best follows what may be as good.
    standing = sorted(_standings(group), key=lambda each: not each.tied_with_best)
    rows = []
    for place, each in enumerate(standing, start=1):
        rank = 1 if each.tied_with_best else place
        rows.append(_ranked(by_id[each.configuration], each, rank, values))
    rest = [_row(entry, values) for entry in entries if entry.configuration not in by_id]
    rest.sort(key=lambda row: (_order(row.state), row.val_nelbo or math.inf, row.configuration))

    metric = sweep.spec.get("metric", "val_ppl")
    states: dict[str, int] = defaultdict(int)
    for trial in trials:
        states[trial.state] += 1
    return Board(
        id=sweep.id,
        name=sweep.name,
        state=sweep.state,
        note=sweep.note,
        metric=metric if isinstance(metric, str) else metric[0],
        trials=dict(states),
        searched=searched([values[entry.configuration] for entry in entries]),
        rows=rows + rest,
    )


def searched(values: Sequence[dict[str, Any]]) -> list[str]:
    """The names whose values differ, a missing one being a value too; in alphabetical order."""
    names = {name for each in values for name in each}
    absent = object()
    return sorted(
        name
        for name in names
        if any(each.get(name, absent) != values[0].get(name, absent) for each in values)
    )


def _entries(
    trials: Iterable[TrialRecord], evaluations: dict[int, EvaluationRecord], latest: Iterable[LatestRecord]
) -> list[_Entry]:
    """By configuration. Once a run is complete, only complete ones count; one run a seed."""
    rows: dict[int, list[LatestRecord]] = defaultdict(list)
    for record in latest:
        rows[record.trial].append(record)
    grouped: dict[int, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        grouped[trial.configuration].append(trial)
    entries = []
    for configuration, mine in grouped.items():
        complete = [trial for trial in mine if trial.state == "complete"]
        counted = {trial.seed: trial for trial in reversed(complete or mine)}  # the first of equal seeds
        ids = sorted(trial.id for trial in counted.values())
        evaluated = [evaluations[trial] for trial in ids if trial in evaluations]
        entries.append(
            _Entry(configuration, mine, evaluated, [each for trial in ids for each in rows[trial]])
        )
    return entries


def _comparable(entries: Sequence[_Entry]) -> list[_Entry]:
    """Those that may be ranked together, because they were evaluated on the same text in the same way.

    The baselines' evaluation decides; without baselines, the one that most configurations have.
    """
    groups: dict[tuple[Any, ...], list[_Entry]] = defaultdict(list)
    for entry in entries:
        keys = {_identity(each) for each in entry.evaluated}
        if len(keys) == 1:
            groups[keys.pop()].append(entry)

    def weight(group: list[_Entry]) -> tuple[int, int]:
        return sum(trial.role == "baseline" for entry in group for trial in entry.trials), len(group)

    return max(groups.values(), key=weight, default=[])


def _identity(evaluation: EvaluationRecord) -> tuple[Any, ...]:
    """Where it is equal, so is the quantity, document by document."""
    return json.dumps(evaluation.identity, sort_keys=True), *evaluation.tokens


def _standings(group: Sequence[_Entry]) -> list[Standing]:
    if not group:
        return []
    seeds = {trial.id: trial.seed for entry in group for trial in entry.trials}
    runs = [
        Run(entry.configuration, seeds[each.trial], each.nats) for entry in group for each in entry.evaluated
    ]
    return standings(runs, group[0].evaluated[0].tokens)


def _ranked(entry: _Entry, standing: Standing, rank: int, values: dict[int, dict[str, Any]]) -> Row:
    row, adjusted = _row(entry, values), standing.nelbo - standing.mean
    metrics = dict(row.metrics)
    if "val_bpb" in metrics:  # proportional to nats per token: the same bytes for everybody
        metrics["val_bpb"] *= standing.nelbo / standing.mean
    return row._replace(
        rank=rank,
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


def _row(entry: _Entry, values: dict[int, dict[str, Any]]) -> Row:
    """Without a rank: what is stored, as it is."""
    note = ""
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
