"""The race: its levels, what must not matter, and errors over all looks on planted truth."""

from itertools import pairwise

import numpy as np
import pytest

from sweeper.statistics.differences import Pooled, pooled
from sweeper.statistics.field import Field
from sweeper.statistics.race import SPENT, Race, against_all, levels, looks, race
from tests.sweeper.statistics.boards import TOKENS

CAP = 8


def field(value_CS: np.ndarray) -> Field:
    """No error of the text. NaN: did not run."""
    return Field(value_CS[..., None] * np.array(TOKENS, float), np.array(TOKENS, float))


def planted(rng: np.random.Generator, mu_K: np.ndarray, own: float, slope: float = 0.0) -> Field:
    effect_R = rng.normal(0, 0.1, CAP)
    slope_K1 = rng.normal(1, slope, (len(mu_K), 1))
    return field(mu_K[:, None] + slope_K1 * effect_R + rng.normal(0, own, (len(mu_K), CAP)))


def test_levels_spend_what_is_allowed_on_races_that_they_were_not_made_from() -> None:
    """Of equal configurations with equal noise: undercut, over all looks, on 4% of them."""
    rng, undercut, races = np.random.default_rng(99), 0, 400
    for _ in range(races):
        undercut += (race(planted(rng, np.zeros(4), 0.01), CAP, 0.95).upper_KK[1:, 0] < 0).any()
    allowed = SPENT * 0.05
    assert undercut / races == pytest.approx(allowed, abs=3 * np.sqrt(allowed * (1 - allowed) / races))


def test_more_contenders_and_more_looks_ask_for_more() -> None:
    for of_two, of_more in zip(levels(4, 8, 0.95), levels(4, 8, 0.90), strict=True):
        assert 0 < of_two < of_more < 1
    assert levels(12, 8, 0.95)[0] < levels(4, 8, 0.95)[0]
    assert levels(4, 3, 0.95)[0] > levels(4, 16, 0.95)[0]


def test_the_truth_is_within_the_bounds_at_every_look() -> None:
    rng = np.random.default_rng(5)
    mu_K = np.array([0.0, 0.0, 0.01, 0.02, 0.03, 0.03])
    failed = named = 0
    boards = 200
    for _ in range(boards):
        so_far = list(looks(planted(rng, mu_K, 0.01, slope=0.05), CAP, 0.95))
        failed += any(mu_K[each.first] > each.bound for each in so_far)
        named += any(each.winner for each in so_far)
    assert failed / boards < 0.05 + 2 * 0.0154
    assert named / boards < 0.05 + 2 * 0.0154  # of two equal ones, none is


def test_a_large_difference_wins_and_the_last_look_is_the_race() -> None:
    found = planted(np.random.default_rng(0), np.array([0.05, 0.0, 0.05, 0.06]), 0.005)
    *_, last = looks(found, CAP, 0.95)
    whole = race(found, CAP, 0.95)
    assert (whole.first, whole.winner, whole.bound, whole.rounds) == (1, True, 0.0, CAP)
    assert whole.may_be_best_K.tolist() == [False, True, False, False]
    assert whole.still_in(0.01).tolist() == [False, True, False, False]
    assert (last.upper_KK == whole.upper_KK).all()


def test_bounds_only_fall_from_look_to_look() -> None:
    board = planted(np.random.default_rng(1), np.array([0.0, 0.01, 0.02, 0.02]), 0.01)
    uppers = [each.upper_KK for each in looks(board, CAP, 0.95)]
    for before, after in pairwise(uppers):
        assert (after <= before).all()


def same(one: Race, other: Race, order: np.ndarray) -> None:
    at = np.ix_(order, order)
    assert other.upper_KK == pytest.approx(one.upper_KK[at], abs=1e-9)
    assert order[other.first] == one.first
    assert (other.winner, other.rounds) == (one.winner, one.rounds)


@pytest.mark.parametrize("seed", range(5))
def test_order_and_a_constant_do_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    board = planted(rng, rng.normal(0, 0.01, 5), 0.01)
    found, order = race(board, CAP, 0.95), rng.permutation(5)
    same(found, race(board.of(order), CAP, 0.95), order)
    moved = board.value_CS + rng.normal(0, 3, CAP)
    same(found, race(field(moved), CAP, 0.95), np.arange(5))


def test_who_stopped_keeps_what_was_said_of_it() -> None:
    board = planted(np.random.default_rng(2), np.array([0.0, 0.005, 0.3, 0.3]), 0.01)
    value_KR = board.value_CS.copy()
    value_KR[2:, 3:] = np.nan
    upper = race(field(value_KR), CAP, 0.95).upper_KK
    early = race(board.first(3), CAP, 0.95).upper_KK
    assert upper[:2, 2:] == pytest.approx(early[:2, 2:])
    assert upper[0, 1] <= early[0, 1]


def test_two_alone_have_no_others_to_learn_from() -> None:
    """The levels of two are those of a pair's own spread: what the search saw of it counts among more."""
    for K, same in ((2, True), (3, False)):
        board = planted(np.random.default_rng(3), np.linspace(0.0, 0.03, K), 0.001).first(2)
        like = pooled(board.value_CS).variance
        alone = race(board, CAP, 0.95)
        told = race(board, CAP, 0.95, Pooled(squares=like * 400, degrees=40.0, seeds=5))
        assert (told.upper_KK[0, 1] == alone.upper_KK[0, 1]) == same


def test_before_two_rounds_nothing_is_said() -> None:
    found = race(field(np.array([[5.0], [4.0], [6.0]])), CAP, 0.95)
    assert (found.first, found.rounds, found.winner) == (1, 1, False)
    assert found.may_be_best_K.all()
    assert found.bound == np.inf


def test_who_never_raced_is_held_against_the_raced() -> None:
    rng = np.random.default_rng(4)
    board = planted(rng, np.array([0.0, 0.01, 0.01]), 0.01)
    found, spread = race(board, CAP, 0.95), pooled(board.value_CS)

    def bound(of_rest: float) -> float:
        on_one_seed = field(np.array([[5.0], [5.01], [5.01], [5.0 + of_rest]]))
        return against_all(found, board, on_one_seed, [0, 1, 2], 0.95, spread)

    assert bound(1.0) == found.bound
    assert bound(-0.1) > bound(0.0) > found.bound
    assert against_all(found, board, field(np.full((3, 1), 5.0)), [0, 1, 2], 0.95, spread) == found.bound


def test_a_difference_to_the_first_has_both_ends_and_knows_that_the_first_was_picked() -> None:
    """Of eleven equal ones, all differences are in their intervals on 95% of the boards; of two, the first is
    either and the level that of a pair."""
    rng, missed, boards = np.random.default_rng(8), 0, 150
    for _ in range(boards):
        found = race(planted(rng, np.zeros(11), 0.01), CAP, 0.95)
        missed += bool((np.abs(found.difference_K) > found.margin_K).any())
    assert missed / boards < 0.05 + 2 * 0.018
    assert levels(2, CAP, 0.95).first == levels(2, CAP, 0.95).winner
    assert levels(11, CAP, 0.95).first < levels(11, CAP, 0.95).bound
