"""What are a sweep's evaluations of, and how were they estimated?"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sweeper.store.records import EvaluationRecord

SPLITS = {
    "valid": "Evaluation on valid: ranked",
    "test": "Evaluation on test: read once",
    "last": "Evaluation on test, of the last step: shown",
}

MEASURED = frozenset({"surprisal_variance"})  # in a provenance: of one trial's values, not how they came


def title_of(split: str) -> str:
    """Of valid, of test by the best checkpoint or the last step, or of valid in other blocks ('L4')."""
    return SPLITS.get(split, f"Evaluation on valid in blocks of {split.removeprefix('L')}: shown")


class Passport(NamedTuple):
    """One identity on one split, and the ways in which trials' values were estimated under it."""

    split: str
    identity: dict[str, Any]
    provenances: list[tuple[dict[str, Any], int]]  # with how many trials have it
    trials: int


def passports_of(evaluations: Mapping[str, Iterable[EvaluationRecord]]) -> list[Passport]:
    """Every identity there is: one a split, unless something is wrong. evaluations: by split."""
    found: dict[tuple[str, str], tuple[dict[str, Any], dict[str, tuple[dict[str, Any], int]]]] = {}
    for split, records in evaluations.items():
        for record in records:
            identity = json.dumps(record.identity, sort_keys=True)
            _, hows = found.setdefault((split, identity), (record.identity, {}))
            way = {name: value for name, value in record.provenance.items() if name not in MEASURED}
            how = json.dumps(way, sort_keys=True)
            hows[how] = (way, hows.get(how, ({}, 0))[1] + 1)
    return [
        Passport(split, identity, list(hows.values()), sum(count for _, count in hows.values()))
        for (split, _), (identity, hows) in found.items()
    ]
