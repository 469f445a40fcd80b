"""How does a configuration become a row of the board: by its own numbers, and by those of fresh seeds?"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

from sweeper.results.fresh import Fresh
from sweeper.results.ranking import Entry, Ranked
from sweeper.results.row import Estimate, Later, Row, known, perplexity
from sweeper.statistics.standings import Standing
from sweeper.store.followed import Latest
from sweeper.store.records import TrialRecord

SAID_AS_IT_IS = ("over_seeds", "rank_low", "rank_high")  # of a standing, by the numbers that decide
SAID_WHERE_KNOWN = ("regret", "p_best", "p_within")
NOT_RANKED: Mapping[str, Any] = {**Row._field_defaults, "tied_with_best": False, "why": ""}  # None: all else


def ranked_rows(
    rows: Sequence[Row],
    ranked: Sequence[Ranked],
    estimates: Sequence[Mapping[str, Estimate]],
    fresh: Fresh | None,
) -> list[Row]:
    """rows: their unranked ones. fresh: what stands before them. Made by the column: field by field ten
    thousand of them cost four times as much."""
    if not rows:
        return []
    of = dict(zip(Standing._fields, zip(*(each.standing for each in ranked), strict=True), strict=True))
    table: dict[str, Iterable[Any]] = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
    adjusted = [nelbo - mean for nelbo, mean in zip(of["nelbo"], of["mean"], strict=True)]
    table |= {
        **{name: of[name] for name in ("tied_with_best", "why", "difference")},
        "rank": _ranks(ranked, fresh),
        "val_nelbo": of["nelbo"],
        "val_ppl": map(perplexity, of["nelbo"]),
        "val_ppl_low": map(perplexity, of["low"]),
        "val_ppl_high": map(perplexity, of["high"]),
        "val_ppl_as_run": map(perplexity, of["mean"]),
        "margin": map(known, of["margin"]),
        "note": [
            f"adjusted by {by:+.4f} nats/token for its seeds" if abs(by) > 1e-9 else "" for by in adjusted
        ],
        "metrics": list(map(_in_proportion, table["metrics"], of["nelbo"], of["mean"])),
        "estimates": estimates,
        **{name: of[name] for name in SAID_AS_IT_IS},
        **{name: map(known, of[name]) for name in SAID_WHERE_KNOWN},
    }
    return list(map(Row._make, zip(*table.values(), strict=True)))


def _ranks(ranked: Sequence[Ranked], fresh: Fresh | None) -> list[int]:
    """By the search's numbers, behind those that have fresh ones."""
    if fresh is None:
        return [each.rank for each in ranked]
    before = {each.configuration for each in fresh.standings}
    behind = place = 1 + sum(each.entry.configuration in before for each in ranked)
    ranks = []
    for each in ranked:
        ranks.append(behind if each.standing.tied_with_best else place)
        place += each.entry.configuration not in before
    return ranks


def _in_proportion(metrics: Mapping[str, float], nelbo: float, mean: float) -> Mapping[str, float]:
    """val_bpb is proportional to nats per token: the same bytes for everybody."""
    if isinstance(metrics, Later):
        return Later(lambda: _in_proportion(dict(metrics), nelbo, mean))
    return {**metrics, "val_bpb": metrics["val_bpb"] * (nelbo / mean)} if "val_bpb" in metrics else metrics


def unranked_rows(
    entries: Sequence[Entry],
    values: Sequence[Mapping[str, Any]],
    metrics: Sequence[Mapping[str, float]] | None = None,
) -> list[Row]:
    """Without a rank: what is stored, as it is. values: complete, dotted, of each entry. metrics: where the
    entries do not say them."""
    of_runs = [means(each.latest) for each in entries]
    nelbo = [each.pop("val_nelbo", None) for each in of_runs]
    for each in of_runs:
        each.pop("val_ppl", None)
    val_ppl = [None if each is None else perplexity(each) for each in nelbo]
    table: dict[str, Iterable[Any]] = {
        "configuration": [each.configuration for each in entries],
        "values": values,
        "trials": [[trial.id for trial in each.trials] for each in entries],
        "trial_numbers": [[trial.called for trial in each.trials] for each in entries],
        "seeds": [len(each.evaluated) for each in entries],
        "state": [each.state for each in entries],
        "step": [max([of.last for of in each.latest], default=0) for each in entries],
        "val_ppl": val_ppl,
        "val_ppl_as_run": val_ppl,
        "val_nelbo": nelbo,
        "roles": [sorted({trial.role for trial in each.trials}) for each in entries],
        "note": map(_why_no_rank, entries),
        "metrics": metrics or of_runs,
    }
    columns = (table.get(name, repeat(NOT_RANKED.get(name))) for name in Row._fields)
    return list(map(Row._make, zip(*columns, strict=False)))  # Row itself takes three times as long


def _why_no_rank(entry: Entry) -> str:
    if entry.state == "pruned":
        return next(f"pruned {trial.reason}" for trial in entry.trials if trial.state == "pruned")
    if entry.state == "complete":
        return "evaluated on another text or in another way" if entry.evaluated else "never evaluated"
    return ""


def with_fresh(rows: Sequence[Row], fresh: Fresh | None, later: Sequence[TrialRecord]) -> list[Row]:
    """Those that have fresh numbers first, by these; the others after them, as they are.

    later: trials that ran after the search.
    """
    mine: dict[int, list[TrialRecord]] = defaultdict(list)
    for trial in later:
        mine[trial.configuration].append(trial)
    others = {
        row.configuration: _with_trials(row, mine[row.configuration]) if row.configuration in mine else row
        for row in rows
    }
    if fresh is None:
        return list(others.values())
    known_to_search = [each for each in fresh.standings if each.configuration in others]
    by_rank = _race_by_race(known_to_search, fresh)
    first = [
        _fresh_row(others.pop(each.configuration), each, fresh, place, len(rows))
        for place, each in enumerate(by_rank, start=1)
    ]
    return first + list(others.values())


def _race_by_race(found: Sequence[Standing], fresh: Fresh) -> list[Standing]:
    """That of the lowest row before the others; within each those that may be its best before the rest."""
    race = {c: number for number, contest in enumerate(fresh.contests) for c in contest.contenders}
    lowest: dict[int, int] = {}  # race: place of its lowest
    for place, each in enumerate(found):
        lowest.setdefault(race.get(each.configuration, 0), place)
    return sorted(found, key=lambda each: (lowest[race.get(each.configuration, 0)], not each.tied_with_best))


def with_optimism(
    rows: Sequence[Row], of_search: Mapping[int, float], of_fresh: Mapping[int, float]
) -> list[Row]:
    """Both: valid less test, by configuration."""
    both = of_search.keys() & of_fresh.keys()
    return [
        row._replace(optimism=of_fresh[row.configuration] - of_search[row.configuration])
        if row.configuration in both
        else row
        for row in rows
    ]


def _with_trials(row: Row, more: Sequence[TrialRecord]) -> Row:
    return row._replace(
        trials=row.trials + [trial.id for trial in more],
        trial_numbers=[*row.trial_numbers, *(trial.called for trial in more)],
        roles=sorted({*row.roles, *(trial.role for trial in more)}),
    )


def _fresh_row(row: Row, standing: Standing, fresh: Fresh, place: int, ranked: int) -> Row:
    also = fresh.estimates.get(row.configuration, {})
    test = also.get("test_ppl")
    return row._replace(
        rank=1 if standing.tied_with_best else place,
        confirmed_seeds=standing.seeds,
        confirmed_nelbo=standing.nelbo,
        confirmed_ppl=perplexity(standing.nelbo),
        confirmed_low=perplexity(standing.low),
        confirmed_high=perplexity(standing.high),
        confirmed_tied=standing.tied_with_best,
        confirmed_why=standing.why,
        confirmed_difference=standing.difference,
        confirmed_margin=known(standing.margin),
        confirmed_test_ppl=None if test is None else test.value,
        estimates=also or row.estimates,
        **{**_said(standing), **_places(row, standing, fresh.compared(row.configuration), ranked)},
    )


def _places(row: Row, standing: Standing, compared: int, ranked: int) -> dict[str, int]:
    """The ranks that it may have among all that are ranked, by its fresh numbers and by the search's.

    Of compared rows fresh numbers say whether they are surely better or worse, of the others the search's
    alone. Where the two contradict each other the fresh ones hold.
    """
    low, high = standing.rank_low, ranked - (compared - standing.rank_high)
    both = max(low, row.rank_low or low), min(high, row.rank_high or high)
    low, high = both if both[0] <= both[1] else (low, high)
    return {"rank_low": low, "rank_high": high}


def _said(standing: Standing) -> dict[str, Any]:
    """What the numbers that decide say: of the search, until there are fresh ones."""
    return {
        **{name: getattr(standing, name) for name in SAID_AS_IT_IS},
        **{name: known(getattr(standing, name)) for name in SAID_WHERE_KNOWN},
    }


def means(latest: Sequence[Latest]) -> dict[str, float]:
    """The mean over runs: of their best where a metric has a direction, else of their latest."""
    if len(latest) == 1:
        metrics = dict(zip(latest[0].names, latest[0].best, strict=True))
    else:
        found: dict[str, list[float]] = defaultdict(list)
        for each in latest:
            for name, best in zip(each.names, each.best, strict=True):
                found[name].append(best)
        metrics = {name: math.fsum(best) / len(best) for name, best in sorted(found.items())}
    if "test_nelbo" in metrics:
        metrics.pop("test_ppl", None)
        if (ppl := perplexity(metrics["test_nelbo"])) is not None:
            metrics["test_ppl"] = ppl  # as everywhere: exp of the mean
    return metrics
