"""The answer in words, whatever there is to say."""

import math
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from sweeper.results.answer import Answer, answers
from sweeper.results.fresh import Fresh
from sweeper.results.race_record import Contest
from sweeper.results.row import Row
from sweeper.spec.sections import Settle
from sweeper.statistics.chances import Chances
from sweeper.statistics.race import Race
from sweeper.words import brief

NAMES = ["f.block_size", "f.schedule.name", "f.clip.low", "f.clip.high"]
VALUES = {"f.block_size": 4, "f.schedule.name": "cosine", "f.clip.low": 0.28, "f.clip.high": 0.83}
FIRST = "(block_size 4, cosine, clip 0.28-0.83)"


def row(rank: int | None, configuration: int, seeds: int = 1, **more: Any) -> Row:
    missing = dict.fromkeys(Row._fields)
    plain = {**missing, "values": VALUES, "trials": [configuration], "state": "complete", "roles": ["search"]}
    rest = {"metrics": {}, "why": "", "note": "", "tied_with_best": rank == 1, "confirmed_seeds": 0}
    known = {"rank": rank, "configuration": configuration, "seeds": seeds, **more}
    return Row(**{**plain, **rest, **known})  # type: ignore[arg-type]


def said(rows: list[Row], fresh: Fresh | None = None, winner: int | None = None) -> Answer:
    (only,) = answers(rows, fresh, winner, NAMES)
    return only


def test_a_configuration_in_few_words() -> None:
    assert f"({brief(VALUES, NAMES)})" == FIRST
    assert brief({"r.name": "none", "lr": 0.00123, "flag": True, "c.low": 0.1}, ["r.name", "lr", "flag"]) == (
        "lr 0.00123, flag true"
    )


def test_nothing_and_one() -> None:
    assert said([]).text.startswith("Nothing is ranked")
    assert said([row(None, 1)]).kind == "none"
    assert said([row(1, 1)]).text == "One configuration is ranked: there is nothing to compare it to."


def test_one_seed_of_everything_is_no_answer() -> None:
    found = said([row(1, 1), row(1, 2)])
    assert found.text == (
        "No answer: each row ran on one seed, so nothing tells merit from luck; "
        f"row 1 {FIRST} has the lowest val_ppl."
    )
    assert (found.settled, found.loss, found.p_best) == (False, None, None)


def test_a_first_row_of_one_seed_has_chances_where_others_show_a_spread() -> None:
    found = said([row(1, 1, p_best=0.414, p_within=0.5), row(1, 2, 3), row(3, 3, 3)])
    assert found.text == (
        f"No answer yet: row 1 {FIRST} has the lowest val_ppl, on one seed; 2 of 3 rows may be the best (=); "
        "chance that it is within 1% of the best .50, that it is the best .41."
    )


def test_a_first_row_of_several_seeds_has_a_bound() -> None:
    found = said([row(1, 1, 3, regret=0.0119, p_best=0.999, p_within=0.0), row(1, 2, 3), row(1, 3)])
    assert found.text == (
        f"Take row 1 {FIRST}: at 95% it loses at most 1.2% to the best of the 2 of 3 rows that ran on "
        "several seeds; chance that it is within 1% of the best below .01, that it is the best above .99."
    )
    assert found.loss == pytest.approx(math.expm1(0.0119))
    assert not found.settled


def test_a_winner_and_the_confirmed() -> None:
    rows = [row(1, 1, confirmed_seeds=5, regret=0.02), row(1, 2, confirmed_seeds=5), row(3, 3)]
    assert said(rows).text == (
        f"Take row 1 {FIRST}: at 95% it loses at most 2.1% to the best of the 2 rows that were confirmed "
        "(5 fresh seeds)."
    )
    won = said(rows, winner=1)
    assert won.text == f"Row 1 {FIRST} beats each of the 1 others confirmed on 5 fresh seeds, at 95%."
    assert (won.winner, won.settled) == (True, True)


def raced(
    *,
    bound: float,
    rounds: int,
    settle: Settle,
    winner: bool = False,
    within: float = 0.98,
    value: Any = None,
) -> Fresh:
    """Configurations 7 and 8; 7 is first, .002 better, and half so wide that `bound` comes out."""
    upper = np.array([[0.0, bound], [1.0, 0.0]])
    half_K = np.array([0.0, bound + 0.002])
    race = Race(rounds, 0, np.array([0.0, 0.002]), half_K, upper, np.ones(2, bool), winner, 1.3 * half_K)
    chances = Chances(np.array([0.71, 0.29]), np.array([within, 0.5]))
    contest = Contest(value, [7, 8], [rounds, rounds], race, chances, math.log1p(0.012))
    return Fresh([], None, 30.0, MappingProxyType({}), [contest], settle)


ROWS = [row(1, 7, confirmed_seeds=5), row(1, 8, confirmed_seeds=5), row(3, 9)]
TAKE = f"ake row 1 {FIRST}: at 95% it loses at most"
CHANCE = "chance that it is within 1% of the best .98, that it is the best .71"


def test_a_race_that_is_settled() -> None:
    found = said(ROWS, raced(bound=math.log1p(0.009), rounds=5, settle=Settle(seeds=8)))
    assert found.text == (
        f"T{TAKE} 0.9% to the best of the 2 rows that were raced (5 seeds), 1.2% to any of the 3 searched; "
        f"{CHANCE}."
    )
    assert found.settled
    assert (found.loss, found.loss_of_all) == (pytest.approx(0.009), pytest.approx(0.012))


def test_a_race_at_its_cap_says_what_more_would_bring() -> None:
    found = said(ROWS, raced(bound=math.log1p(0.014), rounds=8, settle=Settle(seeds=8)))
    would = math.expm1((math.log1p(0.014) + 0.002) * math.sqrt(8 / 12) - 0.002)
    assert 0.011 < would < 0.012
    assert found.text == (
        f"Not settled to 1% after 8 seeds: t{TAKE} 1.4% to the best of the 2 rows that were raced (8 seeds), "
        f"1.2% to any of the 3 searched; {CHANCE}; 4 more seeds would bring about 1.2%."
    )
    assert not found.settled


def test_a_race_that_goes_on_one_that_is_won_and_one_that_ends_by_chance() -> None:
    on = said(ROWS, raced(bound=0.05, rounds=3, settle=Settle(seeds=8)))
    assert on.text.startswith(f"Not settled yet: t{TAKE} 5.2%")
    won = said(ROWS, raced(bound=0.0, rounds=3, settle=Settle(seeds=8), winner=True))
    assert won.text.startswith(
        f"Row 1 {FIRST} beats each of the other rows that were raced, at 95% (3 seeds)"
    )
    assert won.winner
    likely = said(ROWS, raced(bound=0.05, rounds=3, settle=Settle(seeds=8, until="chance")))
    assert f"{CHANCE} (a chance, no guarantee: at 95% it loses at most 5.2%" in likely.text
    assert likely.settled


def test_a_bound_of_nothing_is_said_in_words() -> None:
    """One-sided: beside a two-sided interval that reaches below 0, 'at most 0.0%' would be read as a slip."""
    alone = said([row(1, 1, 3, regret=0.0), row(1, 2, 3)])
    assert "at 95% it loses nothing measurable to the best of the 2 of 2 rows" in alone.text
    race = raced(bound=0.0, rounds=3, settle=Settle(seeds=8))
    on = said(ROWS, race)
    assert (
        "it loses nothing measurable to the best of the 2 rows that were raced (3 seeds), at most 1.2% to "
        "any of the 3 searched;"
    ) in on.text
    (contest,) = race.contests
    everyone = race._replace(contests=[contest._replace(against_all=0.0)])
    assert "(3 seeds), nothing measurable to any of the 3 searched;" in said(ROWS, everyone).text
    won = raced(bound=0.0, rounds=3, settle=Settle(seeds=8), winner=True)
    won = won._replace(contests=[won.contests[0]._replace(against_all=0.0)])
    assert "(3 seeds); it loses nothing measurable to any of the 3 searched;" in said(ROWS, won).text
    assert "0.0%" not in "".join(each.text for each in (alone, on, said(ROWS, won)))


def test_rows_of_different_numbers_of_seeds_are_said_as_a_range() -> None:
    rows = [row(1, 1, confirmed_seeds=5, regret=0.02), row(1, 2, confirmed_seeds=3)]
    assert "(3 to 5 fresh seeds)" in said(rows).text
    assert "confirmed on 3 to 5 fresh seeds, at 95%" in said(rows, winner=1).text
    race = raced(bound=0.005, rounds=5, settle=Settle(seeds=8))
    race = race._replace(contests=[race.contests[0]._replace(rounds=[5, 2])])
    assert "rows that were raced (2 to 5 seeds)" in said(ROWS, race).text


def test_each_value_of_a_dimension_has_its_line() -> None:
    settle = Settle(seeds=8, by="f.block_size")
    (only,) = answers(ROWS, raced(bound=0.001, rounds=3, settle=settle, value=4), None, NAMES)
    assert only.text.startswith(f"f.block_size 4: T{TAKE} 0.2% ")
    assert (only.value, only.configuration) == (4, 7)


def test_before_two_rounds_nothing_is_said() -> None:
    contest = Contest(None, [7, 8], [1, 1], None, None, math.inf)
    found = said(ROWS, Fresh([], None, 30.0, MappingProxyType({}), [contest], Settle()))
    assert found.text.startswith("No answer yet: 2 rows race")
    assert found.to_json()["configuration"] is None


def by_block_size(value: Any, contenders: list[int]) -> Answer:
    contest = Contest(value, contenders, [0] * len(contenders), None, None, math.inf)
    fresh = Fresh([], None, 30.0, MappingProxyType({}), [contest], Settle(by="f.block_size"))
    other = row(3, 9)
    return said([*ROWS[:2], other._replace(values={**VALUES, "f.block_size": 16})], fresh)


def test_who_has_nobody_to_race_against_waits_for_no_seeds() -> None:
    only = by_block_size(16, [9])
    assert only.text == "f.block_size 16: One configuration is ranked: there is nothing to compare it to."
    assert (only.configuration, only.settled) == (9, False)
    last = by_block_size(4, [8])
    assert last.text == (
        "f.block_size 4: No answer: one row is left in the race, for runs of the others failed."
    )
    assert last.configuration == 8
    assert by_block_size(4, []).text == (
        "f.block_size 4: No answer: no row is left in the race, for runs of the others failed."
    )


def test_those_without_the_dimension_have_a_line_too() -> None:
    assert by_block_size(None, [7, 8]).text.startswith("without f.block_size: No answer yet: 2 rows race")
