"""Which configurations may be ranked together, and in which order. The board shows it, `confirm` uses it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sweeper.statistics.field import Run
from sweeper.statistics.standings import Standing, standings
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, LatestRecord, ScoreRecord, TrialRecord

AFTER_SEARCH = ("confirm", "race")  # roles of trials on seeds that had no part in the search

# A row is in the first of these states that one of its trials is in.
STATES = ("complete", "running", "queued", "paused", "pruned", "stopped", "lost", "failed")


class Entry(NamedTuple):
    """A configuration's trials and what is stored of them."""

    configuration: int
    trials: list[TrialRecord]
    evaluated: list[EvaluationRecord]  # of the trials that count, one a seed
    latest: list[LatestRecord]  # of the trials that count

    @property
    def state(self) -> str:
        present = {trial.state for trial in self.trials}
        return next((state for state in STATES if state in present), self.trials[0].state)

    def by_seed(self) -> dict[int, EvaluationRecord]:
        """The evaluations that count."""
        seeds = {trial.id: trial.seed for trial in self.trials}
        return {seeds[each.trial]: each for each in self.evaluated}


class Ranked(NamedTuple):
    entry: Entry
    standing: Standing
    rank: int


def best_of_search(reader: Reader, sweep: int, top: int) -> list[int]:
    """The first configurations of the board, best first, as they would be had none been confirmed."""
    trials = [t for t in reader.trials(sweep) if t.repeat_of is None and t.role not in AFTER_SEARCH]
    evaluations = ranked_by(reader, sweep)
    return [each.entry.configuration for each in ranking(entries_of(trials, evaluations, [])).rows[:top]]


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
    trials: Iterable[TrialRecord], evaluations: dict[int, EvaluationRecord], latest: Iterable[LatestRecord]
) -> list[Entry]:
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
        entries.append(Entry(configuration, mine, evaluated, [each for trial in ids for each in rows[trial]]))
    return entries


def _comparable(entries: Sequence[Entry]) -> list[Entry]:
    """Those that may be ranked together, because they were evaluated on the same text in the same way.

    The baselines' evaluation decides; without baselines, the one that most configurations have.
    """
    groups: dict[tuple[Any, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        keys = {quantity(each) for each in entry.evaluated}
        if len(keys) == 1:
            groups[keys.pop()].append(entry)

    def weight(group: list[Entry]) -> tuple[int, int]:
        return sum(trial.role == "baseline" for entry in group for trial in entry.trials), len(group)

    return max(groups.values(), key=weight, default=[])


def quantity(evaluation: EvaluationRecord | ScoreRecord) -> tuple[Any, ...]:
    """Where it is equal, so is the quantity, document by document."""
    return json.dumps(evaluation.identity, sort_keys=True), *evaluation.tokens


class Ranking(NamedTuple):
    rows: list[Ranked]
    winner: int | None  # configuration that is better than every other beyond the error
    effective_documents: float  # of the text that they were evaluated on


NONE = Ranking([], None, 0.0)


def ranking(entries: Sequence[Entry]) -> Ranking:
    """What is complete, by NELBO; but what is not the best, as far as can be told, follows what may be."""
    group = _comparable([entry for entry in entries if entry.state == "complete"])
    if not group:
        return NONE
    by_id = {entry.configuration: entry for entry in group}
    runs = [
        Run(entry.configuration, seed, each.nats) for entry in group for seed, each in entry.by_seed().items()
    ]
    found = standings(runs, group[0].evaluated[0].tokens)
    rows = [
        Ranked(by_id[each.configuration], each, 1 if each.tied_with_best else place)
        for place, each in enumerate(sorted(found.rows, key=lambda each: not each.tied_with_best), start=1)
    ]
    return Ranking(rows, found.winner, found.effective_documents)
