"""All pairs at once, against one pair at a time."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.statistics.clusters import Text
from sweeper.statistics.differences import PRIOR, Pooled, differences, level_variance, pooled
from sweeper.statistics.field import Field, Run, field_of
from tests.reference import comparisons as slow
from tests.sweeper.statistics.boards import TOKENS, flat

COMMON = settings(max_examples=60, deadline=None, derandomize=True)
made = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 3)),
    st.lists(st.floats(1.0, 90.0, allow_nan=False), min_size=4, max_size=4),
    min_size=1,
    max_size=16,
)


def field(runs: slow.Runs) -> tuple[list[int], Field]:
    return field_of([Run(c, s, nats) for (c, s), nats in runs.items()], TOKENS)


@COMMON
@given(made)
def test_pairs_are_as_by_hand(runs: slow.Runs) -> None:
    configurations, board = field(runs)
    total = pooled(board.value_CS)
    squares, degrees = slow.pooled(runs, TOKENS)
    assert total.squares == pytest.approx(squares, rel=1e-6, abs=1e-6)
    assert total.degrees == degrees
    prior = PRIOR if degrees else 0.0
    found = differences(board, None, total, prior)
    for a, b in permutations(range(len(configurations)), 2):
        if found.together_CK[a, b]:
            pair = slow.together(runs, TOKENS, configurations[a], configurations[b], prior)
            assert found.mean_CK[a, b] == pytest.approx(pair.difference, rel=1e-6, abs=1e-6)
            assert found.shared_CK[a, b] == pair.shared
            assert found.seeds_CK[a, b] == pytest.approx(pair.seeds, rel=1e-5, abs=1e-5)
            assert found.degrees_CK[a, b] == pair.degrees


@COMMON
@given(made)
def test_means_are_least_squares(runs: slow.Runs) -> None:
    configurations, board = field(runs)
    if len(np.unique(board.island_C)) == 1:
        expected = slow.means(runs, TOKENS)
        found = dict(zip(configurations, board.means[0].tolist(), strict=True))
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)


@COMMON
@given(made)
def test_errors_of_text_are_as_by_hand(runs: slow.Runs) -> None:
    _, board = field(runs)
    _, nats_CD = board.means
    text, residual_CD = Text(board.tokens_D), board.residual_CD
    for c, mine in enumerate(nats_CD.tolist()):
        assert text.error(nats_CD)[c] == pytest.approx(slow.error_of_text(mine, TOKENS), rel=1e-6, abs=1e-9)
        for k, other in enumerate(nats_CD.tolist()):
            apart = [a - b for a, b in zip(mine, other, strict=True)]
            by_hand = slow.error_of_text(apart, TOKENS)
            assert text.errors(residual_CD, residual_CD)[c, k] == pytest.approx(by_hand, rel=1e-6, abs=1e-6)


@COMMON
@given(made, st.lists(st.floats(-2, 2), min_size=4, max_size=4))
def test_what_a_seed_does_to_all_is_no_error_of_a_difference(runs: slow.Runs, effects: list[float]) -> None:
    """Where all ran the same seeds."""
    whole = {(c, s): runs.get((c, s), [5.0 + c, 6.0, 7.0, 8.0 + s]) for c in range(3) for s in range(3)}
    moved = {
        (c, s): [n + effects[s] * t for n, t in zip(nats, TOKENS, strict=True)]
        for (c, s), nats in whole.items()
    }
    before, after = (differences(field(each)[1]) for each in (whole, moved))
    assert after.mean_CK == pytest.approx(before.mean_CK, abs=1e-8)
    assert after.seeds_CK == pytest.approx(before.seeds_CK, abs=1e-5)


def test_other_runs_count_in_the_mean_of_all_variances() -> None:
    _, board = field_of(flat({(c, s): 5 + 0.1 * c * s for c in range(3) for s in range(3)}), TOKENS)
    mine = pooled(board.value_CS)
    more = mine.plus(Pooled(squares=4.0, degrees=8.0, seeds=5))
    assert more.variance == pytest.approx((mine.squares + 4) / (mine.degrees + 8))
    assert more.seeds == 5
    assert (differences(board, None, more).seeds_CK >= differences(board).seeds_CK).all()


def test_nothing_is_known_of_one_seed_and_of_islands_only_the_spread_of_one() -> None:
    _, board = field_of(flat({(1, 0): 5.0, (2, 0): 6.0}), TOKENS)
    assert math.isnan(pooled(board.value_CS).variance)
    assert np.isinf(differences(board).seeds_CK[0, 1])
    levels = {(1, 0): 5.0, (1, 1): 5.2, (1, 2): 5.4, (2, 0): 5.0, (2, 1): 5.2, (2, 2): 5.4, (3, 7): 5.3}
    _, board = field_of(flat(levels), TOKENS)
    assert level_variance(board) == pytest.approx(0.04)
    assert len(np.unique(board.island_C)) == 2
    assert differences(board).seeds_CK[0, 2] == pytest.approx(math.sqrt(0.04 * (1 / 3 + 1)))


def test_a_run_alone_is_judged_by_the_error_of_two_means_with_their_seed_taken_out() -> None:
    """Simulated: three configurations on three seeds, a fourth on the first of them."""
    rng = np.random.default_rng(3)
    levels_N = []
    for _ in range(4000):
        value = rng.normal(0, 1, (4, 3)) + rng.normal(0, 5, 3)
        runs = {(c, s): float(value[c, s]) for c in range(4) for s in range(3) if c < 3 or s == 0}
        _, board = field_of(flat(runs), TOKENS)
        levels_N.append(board.means[0][3] - board.means[0][0])
    found = differences(board, None, Pooled(squares=2.0, degrees=1.0), 0.0)  # of a pair, on one seed: 2
    assert found.seeds_CK[3, 0] == pytest.approx(np.std(levels_N), rel=0.05)
