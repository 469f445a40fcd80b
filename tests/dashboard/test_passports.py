"""How values were estimated is said once for all trials of which it is true."""

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
def test_each_split_says_what_it_is_for(split: str, said: str) -> None:
    assert said in title_of(split)


def test_blocks_of_another_size_have_a_passport_of_their_own() -> None:
    found = passports_of({split: [record(1, draws, 2.8)] for split, draws in (("valid", 6), ("L4", 15))})
    assert [(each.split, each.trials) for each in found] == [("valid", 1), ("L4", 1)]
