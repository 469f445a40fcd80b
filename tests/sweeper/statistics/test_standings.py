"""One look at a board: by hand on small ones, what must not matter, and planted truth."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.statistics.field import Run
from sweeper.statistics.quantiles import dunnett, tukey
from sweeper.statistics.standings import SPENT, Standing, standings
from tests.sweeper.statistics.boards import TOKENS, flat, simulate
from trainer.evaluation.record import ratio_and_se

COMMON = settings(max_examples=40, deadline=None, derandomize=True)


def test_one_run_has_the_interval_of_the_text() -> None:
    nats = [9.0, 16.0, 11.0, 26.0]
    found = standings([Run(7, 0, nats)], TOKENS)
    only, mean = found.first, ratio_and_se(nats, TOKENS)[0]
    assert (only.configuration, only.nelbo, only.seeds) == (7, pytest.approx(mean), 1)
    assert found.effective_documents == pytest.approx(400 / 114)
    assert only.nelbo - only.low == pytest.approx(only.high - only.nelbo)
    assert not only.over_seeds
    assert (only.tied_with_best, only.why, only.rank_low, only.rank_high) == (True, "best", 1, 1)
    assert (only.regret, found.winner) == (0.0, None)


def test_one_seed_names_no_winner_and_no_rank() -> None:
    found = standings(flat({(1, 0): 9.0, (2, 0): 5.0, (3, 0): 2.0}), TOKENS)
    assert [each.configuration for each in found.rows] == [3, 2, 1]
    assert [each.why for each in found.rows] == ["best", "one seed", "one seed"]
    assert all(each.tied_with_best for each in found.rows)
    assert [each.margin for each in found.rows] == [0.0, math.inf, math.inf]
    assert {(each.rank_low, each.rank_high, each.regret) for each in found.rows} == {(1, 3, math.inf)}
    assert all(math.isnan(each.p_best) for each in found.rows)
    assert found.winner is None


def test_three_seeds_by_hand() -> None:
    """Two configurations, y = 5, 6, 7 and 5.1, 6.3, 6.9: a pair by itself, with two degrees of freedom."""
    board = {(1, 0): 5.0, (1, 1): 6.0, (1, 2): 7.0, (2, 0): 5.1, (2, 1): 6.3, (2, 2): 6.9}
    first, second = standings(flat(board), TOKENS).rows
    error = np.std([0.1, 0.3, -0.1], ddof=1) / math.sqrt(3)
    t = 4.302653  # two-sided, of two groups; their studentized range over sqrt 2, too
    assert tukey(2, 2.0) == pytest.approx(t, rel=1e-5)
    assert second.difference == pytest.approx(0.1)
    assert second.margin == pytest.approx(t * error, rel=1e-5)
    assert first.regret == pytest.approx(dunnett(2, 2.0, SPENT) * error - 0.1)
    level = (1.0 + np.var([5.1, 6.3, 6.9], ddof=1)) / 2
    assert first.high - first.nelbo == pytest.approx(t * math.sqrt(level / 3), rel=1e-6)
    assert first.over_seeds


def test_who_ran_once_is_screened_out_and_not_called_worse() -> None:
    """By the spread of others: the same number on three seeds is worse."""
    board = {(c, s): 5 + 0.1 * s + 0.001 * ((c * s) % 3) for c in range(4) for s in range(3)}
    once, thrice = {(9, 0): 5.3}, {(9, s): 5.3 + 0.1 * s for s in range(3)}
    (row,) = (each for each in standings(flat({**board, **once}), TOKENS).rows if each.configuration == 9)
    assert (row.tied_with_best, row.why) == (False, "screened out")
    assert (row.rank_low, row.rank_high, row.regret) == (1, 5, math.inf)
    (row,) = (each for each in standings(flat({**board, **thrice}), TOKENS).rows if each.configuration == 9)
    assert (row.tied_with_best, row.why, row.rank_low, row.rank_high) == (False, "", 5, 5)
    assert math.isfinite(row.regret)


def test_an_unlucky_seed_is_not_held_against_who_ran_it_alone() -> None:
    """Seed 0 costs 1 nat. Configuration 2 ran with it alone; 1, with all three, is worse at equal seeds."""
    first, second = standings(flat({(1, 0): 6.1, (1, 1): 5.1, (1, 2): 5.1, (2, 0): 6.0}), TOKENS).rows
    assert (first.configuration, second.configuration) == (2, 1)
    assert first.mean == pytest.approx(6.0)
    assert first.nelbo == pytest.approx(6.0 - 2 / 3)
    assert second.nelbo == second.mean == pytest.approx(16.3 / 3)
    assert second.difference == pytest.approx(0.1)


def test_what_all_find_hard_is_no_error_of_a_difference() -> None:
    rng = np.random.default_rng(1)
    tokens = rng.integers(50, 200, 40)
    hard = rng.normal(0, 2.0, 40)
    runs = [
        Run(c, s, list((5 + 0.1 * c + 0.01 * rng.normal(size=40) + hard) * tokens))
        for c in (0, 1, 2)
        for s in range(3)
    ]
    found = standings(runs, tokens.tolist())
    assert found.first.high - found.first.low > 1.0
    assert all(each.margin < 0.05 for each in found.rows)
    assert found.winner == 0
    assert [(each.rank_low, each.rank_high) for each in found.rows] == [(1, 1), (2, 2), (3, 3)]
    assert [each.p_best for each in found.rows] == [1, 0, 0]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="same documents"):
        standings([Run(1, 0, [1.0]), Run(2, 0, [1.0, 2.0])], [1, 1])
    with pytest.raises(ValueError, match="two runs with the same seed"):
        standings([Run(1, 0, [1.0]), Run(1, 0, [2.0])], [1])
    assert standings([], []).rows == []


def test_one_document_says_nothing() -> None:
    found = standings([Run(c, s, [5.0 * c + s]) for c in (1, 2) for s in (0, 1)], [1])
    assert (found.first.low, found.first.high) == (-math.inf, math.inf)
    assert found.rows[1].tied_with_best
    assert found.winner is None


nats = st.floats(1.0, 900.0, allow_nan=False)
boards = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 2)),
    st.lists(nats, min_size=4, max_size=4),
    min_size=1,
    max_size=12,
)


def numbers(each: Standing) -> tuple[float, ...]:
    ends = (each.nelbo, each.low, each.high, each.mean, each.difference, each.margin, each.regret)
    return *ends, each.p_best, each.p_within


@COMMON
@given(boards, st.randoms(use_true_random=False))
def test_the_order_of_runs_does_not_matter(board: dict[tuple[int, int], list[float]], random: object) -> None:
    runs = [Run(c, s, values) for (c, s), values in board.items()]
    before = standings(runs, TOKENS)
    random.shuffle(runs)  # type: ignore[attr-defined]
    after = standings(runs, TOKENS)
    assert after.winner == before.winner
    for mine, other in zip(before.rows, after.rows, strict=True):
        assert numbers(mine) == pytest.approx(numbers(other), rel=1e-9, abs=1e-9, nan_ok=True)
        assert mine[-7:-5] == other[-7:-5]


@COMMON
@given(boards, st.floats(-3, 3))
def test_a_constant_moves_values_and_nothing_else(
    board: dict[tuple[int, int], list[float]], shift: float
) -> None:
    before = standings([Run(c, s, values) for (c, s), values in board.items()], TOKENS)
    moved = [[n + shift * t for n, t in zip(values, TOKENS, strict=True)] for values in board.values()]
    after = standings([Run(c, s, v) for (c, s), v in zip(board, moved, strict=True)], TOKENS)
    old = {each.configuration: each for each in before.rows}
    for each in after.rows:
        assert each.nelbo == pytest.approx(old[each.configuration].nelbo + shift, rel=1e-6, abs=1e-6)
        assert each.high - each.low == pytest.approx(
            old[each.configuration].high - old[each.configuration].low, rel=1e-5, abs=1e-5
        )


@COMMON
@given(boards)
def test_what_is_said_holds_together(board: dict[tuple[int, int], list[float]]) -> None:
    found = standings([Run(c, s, values) for (c, s), values in board.items()], TOKENS)
    C = len(found.rows)
    assert [each.nelbo for each in found.rows] == sorted(each.nelbo for each in found.rows)
    assert found.first.difference == 0
    for each in found.rows:
        assert 1 <= each.rank_low <= each.rank_high <= C
        assert each.low <= each.nelbo <= each.high
        assert each.regret >= 0
        assert each.tied_with_best == (each.why in ("best", "one seed", "within the error"))
        assert math.isnan(each.p_best) or 0 <= each.p_best <= each.p_within <= 1
    if found.winner is not None:
        assert found.winner == found.first.configuration
        assert found.first.seeds > 1


@COMMON
@given(st.integers(1, 3), st.integers(1, 3), st.data())
def test_with_equal_seeds_the_mean_is_the_plain_mean(C: int, S: int, data: st.DataObject) -> None:
    levels = {(c, s): data.draw(st.floats(1.0, 9.0)) for c in range(C) for s in range(S)}
    for each in standings(flat(levels), TOKENS).rows:
        plain = np.mean([level for (c, _), level in levels.items() if c == each.configuration])
        assert each.nelbo == pytest.approx(plain)
        assert each.mean == pytest.approx(plain)


# --- planted truth ------------------------------------------------------------------------------

BOARDS = 400  # a share of 5% has a standard error of 1.1%
ALL = [[0, 1, 2]] * 6
SEARCH = [[0, 1, 2]] * 2 + [[0]] * 4  # two baselines with three seeds, and what the search proposed
APART = [[0, 1, 2]] * 2 + [[3 + c] for c in range(4)]  # no common seed


@pytest.mark.parametrize(
    ("seeds_C", "shared", "own", "slope"),
    [(ALL, 0.1, 0.01, 0.0), (ALL, 0.1, 0.01, 0.1), (SEARCH, 0.1, 0.01, 0.0), (APART, 0.03, 0.02, 0.0)],
)
def test_of_equal_configurations_little_is_claimed_falsely(
    seeds_C: list[list[int]], shared: float, own: float, slope: float
) -> None:
    claims = simulate(seeds_C, np.full(6, 5.4), shared=shared, own=own, slope=slope, boards=BOARDS)
    assert max(claims.winner, claims.lost, claims.worse, claims.cost) < 0.05 + 2 * 0.011
    assert claims.covered > 0.93


def test_intervals_cover_the_truth() -> None:
    """95% where seeds move all configurations together, as they do."""
    claims = simulate(ALL, np.full(6, 5.4), shared=0.07, own=0.01, boards=BOARDS, documents=1000)
    assert 0.93 < claims.covered < 0.97


def test_large_differences_are_seen() -> None:
    claims = simulate(ALL, 5.4 + 0.1 * np.arange(6), shared=0.07, own=0.01, boards=50)
    assert claims.right == 1
    assert claims.winner == claims.lost == claims.worse == claims.cost == 0
