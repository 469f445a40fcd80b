"""The answer's calibration: its boards are what they are said to be, and a cell fails only beyond doubt."""

import math

import numpy as np
import pytest

from benchmarks.asked import STUDIES, Cell, equally_good
from benchmarks.calibration import interval, judged, observed
from benchmarks.formerly import formerly
from benchmarks.trained import Trained
from benchmarks.worlds import TOKENS_D, World, equal, one_better, two_equal
from sweeper.statistics.differences import pooled


@pytest.mark.parametrize("place", range(len(STUDIES)), ids=[study.name for study in STUDIES])
def test_a_study_fills_its_cells(place: int):
    rows = list(judged(STUDIES[place], observed(place, 0, 1)))
    assert [row["row"] for row in rows] == [cell.row for cell in STUDIES[place].cells]
    assert all(row["boards"] == 1 for row in rows)


def test_studies_have_names_of_their_own():
    assert len({study.name for study in STUDIES}) == len(STUDIES)


def test_boards_of_a_deal_are_the_same_whenever_they_are_asked_for():
    first, again = observed(0, 3, 2), observed(0, 3, 2)
    other = observed(0, 4, 2)
    assert all(np.array_equal(first[name], again[name], equal_nan=True) for name in first)
    assert any(not np.array_equal(first[name], other[name], equal_nan=True) for name in first)


def test_a_pairs_difference_moves_over_seeds_as_the_world_says():
    """Var(e_1 - e_2) = 2 E^2 of additive seeds; masks of a round add theirs."""
    world = World("", own=(0.01, 0.01), text=0.0, masks=0.0)
    boards = world.boards(np.random.default_rng(0), np.zeros((200, 4)))
    squares = [pooled(board.rounds_CRD.sum(2) / TOKENS_D.sum()).variance for board in boards]
    assert np.mean(squares) == pytest.approx(2 * 0.01**2, rel=0.1)


def test_boards_of_trained_runs_move_as_those_did():
    """Pair by pair: the variance of a difference over seeds."""
    trained = Trained(World("", text=0.0, masks=0.0))
    value_CS = np.array(trained.runs["nats"]).sum(2) / np.sum(trained.runs["tokens"])
    boards = trained.boards(np.random.default_rng(0), np.zeros((400, len(value_CS))))
    squares = [pooled(board.rounds_CRD.sum(2) / TOKENS_D.sum()).variance for board in boards]
    assert np.mean(squares) == pytest.approx(pooled(value_CS).variance, rel=0.1)
    assert sorted(trained.runs["tokens"]) == TOKENS_D.tolist()


def test_truths_are_what_they_are_called():
    rng = np.random.default_rng(0)
    assert not equal(5)(rng, 3).any()
    assert np.sort(one_better(5, 0.1)(rng, 3), axis=1).tolist() == [[0, 0.1, 0.1, 0.1, 0.1]] * 3
    assert np.sort(two_equal(4, 0.1)(rng, 3), axis=1).tolist() == [[0, 0, 0.1, 0.1]] * 3


def test_the_rule_before_by_hand():
    """Two configurations, three seeds: the paired t, with 2 degrees of freedom."""
    value_KS = np.array([[5.0, 6.0, 7.0], [5.1, 6.3, 6.9]])
    tokens_D = np.array([3.0, 5.0])
    found = formerly(value_KS[:, :, None] * tokens_D, tokens_D)
    assert found.first == 0
    assert found.difference_K[1] == pytest.approx(0.1)
    assert found.margin_K[1] == pytest.approx(
        4.302653 * np.std([0.1, 0.3, -0.1], ddof=1) / math.sqrt(3), rel=1e-4
    )
    assert not found.winner


@pytest.mark.parametrize(("held", "passed"), [(100, True), (91, True), (80, False)])
def test_a_cell_fails_where_its_interval_lies_wholly_beyond(held: int, passed: bool):
    """Of 100 boards: 91 might be 95%, 80 cannot."""
    facts = {"x": np.array([1.0] * held + [0.0] * (100 - held))}
    cell = Cell("row", "x", at_least=0.95)
    low, high = interval(cell, facts)
    assert low <= held / 100 <= high
    (row,) = judged(STUDIES[0]._replace(cells=(cell,)), facts)
    assert row["passed"] is passed


def test_what_could_not_be_does_not_count():
    facts = {"x": np.array([1.0, np.nan, 1.0])}
    assert Cell("row", "x").of(facts) == 1.0
    assert interval(Cell("row", "x"), facts) == interval(Cell("row", "x"), {"x": np.ones(2)})


def test_costs_are_compared_where_both_are_as_often_good():
    """confirm is good on half: between a rule that is on none, for 4, and one that is always, for 8."""
    facts = {
        "good confirm": np.array([0.0, 1.0]),
        "cost confirm": np.array([12.0, 12.0]),
        "good a": np.zeros(2),
        "cost a": np.full(2, 4.0),
        "good b": np.ones(2),
        "cost b": np.full(2, 8.0),
    }
    assert equally_good("cost", ("a", "b"))(facts) == pytest.approx(6 / 12)
    assert equally_good("cost", ("a",))(facts) == math.inf
