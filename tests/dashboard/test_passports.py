"""How values were estimated: one passport a split, said once for all trials of which it is true."""

import pytest

from dashboard.passports import passports_of, title_of
from sweeper.store.records import EvaluationRecord

PLACE = dict.fromkeys(EvaluationRecord._fields)


def record(trial: int, draws: int, variance: float) -> EvaluationRecord:
    provenance = {"bound": "sampled", "draws": draws, "surprisal_variance": variance}
    return EvaluationRecord(
        **{**PLACE, "trial": trial, "identity": {"corpus": "pydocs"}, "provenance": provenance}
    )


def test_what_was_measured_of_one_trial_is_no_way_of_its_own() -> None:
    records = [record(1, 6, 2.831), record(2, 6, 2.914), record(3, 7, 2.7)]
    (found,) = passports_of({"valid": records})
    assert found.trials == 3
    assert found.provenances == [({"bound": "sampled", "draws": 6}, 2), ({"bound": "sampled", "draws": 7}, 1)]


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
