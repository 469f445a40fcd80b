"""Which configurations may be ranked together, and in which order. The board shows it, `confirm` uses it."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sweeper.statistics.intervals import Run, Standing, standings
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, LatestRecord, TrialRecord

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


class Ranked(NamedTuple):
    entry: Entry
    standing: Standing
    rank: int


def best_of_search(reader: Reader, sweep: int, top: int) -> list[int]:
    """The first configurations of the board, best first, as they would be had none been confirmed."""
    trials = [t for t in reader.trials(sweep) if t.repeat_of is None and t.role != "confirm"]
    evaluations = {each.trial: each for each in reader.evaluations(sweep, "valid")}
    return [each.entry.configuration for each in ranking(entries_of(trials, evaluations, []))[:top]]


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


def quantity(evaluation: EvaluationRecord) -> tuple[Any, ...]:
    """Where it is equal, so is the quantity, document by document."""
    return json.dumps(evaluation.identity, sort_keys=True), *evaluation.tokens


def _standings(group: Sequence[Entry]) -> list[Standing]:
    if not group:
        return []
    seeds = {trial.id: trial.seed for entry in group for trial in entry.trials}
    runs = [
        Run(entry.configuration, seeds[each.trial], each.nats) for entry in group for each in entry.evaluated
    ]
    return standings(runs, group[0].evaluated[0].tokens)


def ranking(entries: Sequence[Entry]) -> list[Ranked]:
    """What is complete, by NELBO; but what is surely worse than the best follows what may be as good."""
    group = _comparable([entry for entry in entries if entry.state == "complete"])
    by_id = {entry.configuration: entry for entry in group}
    standing = sorted(_standings(group), key=lambda each: not each.tied_with_best)
    return [
        Ranked(by_id[each.configuration], each, 1 if each.tied_with_best else place)
        for place, each in enumerate(standing, start=1)
    ]
