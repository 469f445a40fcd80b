"""Passports of evaluations: one a split, those in blocks of another size among them."""

import pytest

from dashboard.passports import passports_of, title_of
from sweeper.store.records import EvaluationRecord


@pytest.mark.parametrize(
    ("split", "said"), [("valid", "ranked"), ("test", "read once"), ("L16", "blocks of 16")]
)
def test_each_says_what_it_is_for(split: str, said: str) -> None:
    assert said in title_of(split)


def test_blocks_of_another_size_have_a_passport_of_their_own() -> None:
    def records(split: str, bound: str) -> list[EvaluationRecord]:
        return [
            EvaluationRecord(n, split, 9, 5.0, 0.1, {"data": "x"}, {"bound": bound}, [], []) for n in (1, 2)
        ]

    found = passports_of({"valid": records("valid", "sampled"), "L4": records("L4", "enumerated")})
    assert [(each.split, each.trials, len(each.provenances)) for each in found] == [
        ("valid", 2, 1),
        ("L4", 2, 1),
    ]
