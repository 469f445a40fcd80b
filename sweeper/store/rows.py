"""Metric rows and what follows from them: `latest` is a function of `metrics`, however rows came in. And
which stage is behind which."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import CTE, BindParameter, Connection, Select, bindparam, case, func, select

from sweeper.store.engine import insert_or_ignore, upsert
from sweeper.store.records import LatestRecord, MetricRow
from sweeper.store.schema import evaluations, latest, metrics, stages, trials
from trainer.evaluation.record import Evaluation
from trainer.metrics import BY_NAME

# Built once: that takes longer than SQLite takes to carry them out.
_NAMES: BindParameter[Any] = bindparam("names", expanding=True)
_STEPS = select(metrics.c.name, metrics.c.step).where(
    metrics.c.trial == bindparam("trial"), metrics.c.name.in_(_NAMES), metrics.c.step >= bindparam("first")
)
_LATEST = select(latest).where(latest.c.trial == bindparam("trial"), latest.c.name.in_(_NAMES))
_BEST = select(evaluations.c.nelbo, evaluations.c.step, evaluations.c.provenance).where(
    evaluations.c.trial == bindparam("trial"), evaluations.c.split == bindparam("split")
)


def add_metrics(connection: Connection, trial: int, rows: Sequence[MetricRow]) -> None:
    """Inserts the rows that are not there and brings `latest` up to date with them alone."""
    if not rows:
        return
    mine = {"trial": trial, "names": sorted({row.name for row in rows})}
    first = min(row.step for row in rows)
    there = set(connection.execute(_STEPS, {**mine, "first": first}).tuples())
    new: dict[tuple[str, int], MetricRow] = {}
    for row in rows:
        if (row.name, row.step) not in there:
            new.setdefault((row.name, row.step), row)
    insert_or_ignore(connection, metrics, [{"trial": trial, **row._asdict()} for row in new.values()])

    summary = {row.name: LatestRecord(*row) for row in connection.execute(_LATEST, mine)}
    for row in new.values():
        summary[row.name] = _with(summary.get(row.name), trial, row)
    upsert(connection, latest, [record._asdict() for record in summary.values()])


def keep_best_evaluations(connection: Connection, trial: int, given: Iterable[Evaluation]) -> None:
    """valid: the one that was made to rank, else that with the lowest NELBO, the earlier of equals. test: the
    one given last."""
    for each in given:
        if each.split == "valid":
            stored = connection.execute(_BEST, {"trial": trial, "split": each.split}).one_or_none()
            if stored is not None and _goes_before(stored, each):
                continue
        upsert(connection, evaluations, [{"trial": trial, **row_of(each), "exact": each.exact_nats_D}])


def ranked_step(connection: Connection, trial: int) -> int | None:
    """Of the checkpoint whose evaluation on valid is kept; None where there is none."""
    kept = connection.execute(_BEST, {"trial": trial, "split": "valid"}).one_or_none()
    return None if kept is None else int(kept.step)


def row_of(evaluation: Evaluation) -> dict[str, Any]:
    ranks = {"ranks": True} if evaluation.ranks else {}
    return {
        "split": evaluation.split,
        "step": evaluation.step,
        "nelbo": evaluation.nelbo,
        "se": evaluation.se,
        "identity": evaluation.identity,
        "provenance": {**evaluation.provenance, **ranks},
        "nats": list(evaluation.nats_D),
        "tokens": list(evaluation.tokens_D),
    }


def _goes_before(stored: Any, given: Evaluation) -> bool:
    if "ranks" in stored.provenance or given.ranks:
        return not given.ranks
    return (stored.nelbo, stored.step) <= (given.nelbo, given.step)


def _with(record: LatestRecord | None, trial: int, row: MetricRow) -> LatestRecord:
    """The summary with one more row in it. Best: the earlier of equals; the latest where none is better."""
    if record is None:
        return LatestRecord(trial, row.name, row.step, row.value, row.value, row.step)
    if row.step > record.step:
        record = record._replace(step=row.step, value=row.value)
    direction = BY_NAME[row.name].direction if row.name in BY_NAME else "none"
    if direction == "none":
        return record._replace(best=record.value, best_step=record.step)
    sign = 1 if direction == "min" else -1
    if (sign * row.value, row.step) < (sign * record.best, record.best_step):
        record = record._replace(best=row.value, best_step=row.step)
    return record


def lineage() -> CTE:
    """(stage, of): each stage, and those that it goes on from, however far back."""
    own = select(stages.c.key.label("stage"), stages.c.key.label("of")).cte("lineage", recursive=True)
    behind = select(own.c.stage, stages.c.parent).where(
        stages.c.key == own.c.of, stages.c.parent.is_not(None)
    )
    return own.union(behind)


def keys_behind(keys: Iterable[str]) -> Select[tuple[str]]:
    """Of stages and those that they go on from."""
    line = lineage()
    return select(line.c.of).where(line.c.stage.in_(list(keys))).distinct()


def uses_of_stages() -> Select[tuple[str, int, int, int]]:
    """(stage, sweep, trials, those not ended) of those that branch from it, or from what goes on from it."""
    line = lineage()
    stage = func.coalesce(line.c.of, trials.c.stage)  # it has no row before it is first run
    unfinished = func.sum(case((trials.c.state.in_(("queued", "running", "paused")), 1), else_=0))
    query = select(stage, trials.c.sweep, func.count(), unfinished)
    query = query.select_from(trials.outerjoin(line, line.c.stage == trials.c.stage))
    query = query.where(trials.c.stage.is_not(None), trials.c.repeat_of.is_(None))
    return query.group_by(stage, trials.c.sweep).order_by(stage, trials.c.sweep)
