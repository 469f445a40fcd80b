"""Which configurations may be ranked together, and in which order. The board shows it, `confirm` uses it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from sweeper.statistics.field import Run
from sweeper.statistics.standings import Standing, standings
from sweeper.store.followed import Latest
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, ScoreRecord, TrialRecord

AFTER_SEARCH = ("confirm", "race")  # roles of trials on seeds that had no part in the search

# A row is in the first of these states that one of its trials is in.
STATES = ("complete", "running", "queued", "paused", "pruned", "stopped", "lost", "failed")


class Entry(NamedTuple):
    """A configuration's trials and what is stored of them."""

    configuration: int
    trials: list[TrialRecord]
    evaluated: list[EvaluationRecord]  # of the trials that count, one a seed
    latest: list[Latest]  # of the trials that count
    seeds: list[int]  # of those that were evaluated, in their order
    state: str
    quantity: tuple[Any, ...] | None  # that they were evaluated for; None: for none, or for several

    def by_seed(self) -> dict[int, EvaluationRecord]:
        """The evaluations that count."""
        return dict(zip(self.seeds, self.evaluated, strict=True))


class Ranked(NamedTuple):
    entry: Entry
    standing: Standing
    rank: int


def best_of_search(reader: Reader, sweep: int, top: int) -> list[int]:
    """The first configurations of the board, best first, as they would be had none been confirmed."""
    trials = [t for t in reader.trials(sweep) if t.repeat_of is None and t.role not in AFTER_SEARCH]
    evaluations = ranked_by(reader, sweep)
    return [each.entry.configuration for each in ranking(entries_of(trials, evaluations)).rows[:top]]


def ranked_by(reader: Reader, sweep: int) -> dict[int, EvaluationRecord]:
    """By trial, the evaluation on valid that ranks: of its checkpoint scored again, where that was asked
    for."""
    found = {each.trial: each for each in reader.evaluations(sweep, "valid")}
    for each in reader.scores(sweep):
        if each.round == 0 and each.split == "valid":
            found[each.trial] = as_evaluation(each)
    return found


def as_evaluation(score: ScoreRecord) -> EvaluationRecord:
    shared = {name: getattr(score, name) for name in EvaluationRecord._fields if hasattr(score, name)}
    return EvaluationRecord(**shared)


def entries_of(
    trials: Iterable[TrialRecord],
    evaluations: Mapping[int, EvaluationRecord],
    latest: Mapping[int, Latest] = MappingProxyType({}),
) -> list[Entry]:
    """By configuration. Once a run is complete, only complete ones count; one run a seed.

    evaluations and latest: by trial."""
    grouped: dict[int, list[TrialRecord]] = defaultdict(list)
    for trial in trials:
        grouped[trial.configuration].append(trial)
    entries = []
    kind_of = _Quantities()
    for configuration, mine in grouped.items():
        ids = [(mine[0].id, mine[0].seed)] if len(mine) == 1 else _counted(mine)
        evaluated = [evaluations[trial] for trial, _ in ids if trial in evaluations]
        seeds = [seed for trial, seed in ids if trial in evaluations]
        rows = [latest[trial] for trial, _ in ids if trial in latest]
        kinds = set(map(kind_of, evaluated))
        kind = kinds.pop() if len(kinds) == 1 else None
        entries.append(Entry(configuration, mine, evaluated, rows, seeds, _state(mine), kind))
    return entries


def _counted(trials: Sequence[TrialRecord]) -> list[tuple[int, int]]:
    """(id, seed) of those that count."""
    complete = [trial for trial in trials if trial.state == "complete"]
    first = {trial.seed: trial for trial in reversed(complete or trials)}  # of equal seeds
    return sorted((trial.id, seed) for seed, trial in first.items())


def _state(trials: Sequence[TrialRecord]) -> str:
    if len(trials) == 1:
        return trials[0].state
    present = {trial.state for trial in trials}
    return next((state for state in STATES if state in present), trials[0].state)


def comparable(entries: Sequence[Entry]) -> list[Entry]:
    """Those that are complete and may be ranked together: evaluated on the same text in the same way.

    The baselines' evaluation decides; without baselines, the one that most configurations have.
    """
    groups: dict[tuple[Any, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.state == "complete" and entry.quantity is not None:
            groups[entry.quantity].append(entry)

    def weight(group: list[Entry]) -> tuple[int, int]:
        return sum(trial.role == "baseline" for entry in group for trial in entry.trials), len(group)

    return max(groups.values(), key=weight, default=[])


def quantity(evaluation: EvaluationRecord | ScoreRecord) -> tuple[Any, ...]:
    """Where it is equal, so is the quantity, document by document."""
    return json.dumps(evaluation.identity, sort_keys=True), *evaluation.tokens


class _Quantities:
    """What is equal is one object; what was read together shares its parts, and is looked at once."""

    def __init__(self) -> None:
        self._one: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._by_parts: dict[tuple[int, int], tuple[Any, ...]] = {}

    def __call__(self, evaluation: EvaluationRecord) -> tuple[Any, ...]:
        parts = id(evaluation.identity), id(evaluation.tokens)
        if parts not in self._by_parts:
            found = quantity(evaluation)
            self._by_parts[parts] = self._one.setdefault(found, found)
        return self._by_parts[parts]


def same_quantity(a: EvaluationRecord, b: EvaluationRecord) -> bool:
    """What was read together shares what is equal."""
    return (a.identity is b.identity and a.tokens is b.tokens) or quantity(a) == quantity(b)


class Ranking(NamedTuple):
    rows: list[Ranked]
    winner: int | None  # configuration that is better than every other beyond the error
    effective_documents: float  # of the text that they were evaluated on


NONE = Ranking([], None, 0.0)


def ranking(entries: Sequence[Entry]) -> Ranking:
    """What is complete, by NELBO; but what is not the best, as far as can be told, follows what may be."""
    return ranking_of(comparable(entries))


def ranking_of(group: Sequence[Entry]) -> Ranking:
    """group: entries that may be ranked together."""
    if not group:
        return NONE
    by_id = {entry.configuration: entry for entry in group}
    runs = [
        Run(entry.configuration, seed, each.nats)
        for entry in group
        for seed, each in zip(entry.seeds, entry.evaluated, strict=True)
    ]
    found = standings(runs, group[0].evaluated[0].tokens)
    rows = [
        Ranked(by_id[each.configuration], each, 1 if each.tied_with_best else place)
        for place, each in enumerate(sorted(found.rows, key=lambda each: not each.tied_with_best), start=1)
    ]
    return Ranking(rows, found.winner, found.effective_documents)
