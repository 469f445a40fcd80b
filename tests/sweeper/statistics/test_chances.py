"""Chances: by integrals where there are any, and what they must add up to."""

import math

import numpy as np
import pytest
from scipy import stats

from sweeper.statistics.chances import PRIOR, chances
from sweeper.statistics.differences import Pooled
from sweeper.statistics.field import Field, field_of
from tests.sweeper.statistics.boards import TOKENS, flat


def board(levels: dict[tuple[int, int], float]) -> Field:
    return field_of(flat(levels), TOKENS)[1]


def test_of_two_it_is_the_chance_that_two_ts_are_in_order() -> None:
    """Each ran once, on one seed: two degrees, and the mean of all variances."""
    spread, apart = Pooled(squares=0.02, degrees=10.0, seeds=3), 0.05
    found = chances(board({(1, 0): 5.0, (2, 0): 5.0 + apart}), 0.01, spread)
    assert found is not None
    scale = math.sqrt(spread.variance / 2)
    x = np.linspace(-200, 200, 400_001)  # of the difference of two of Student's t, by convolution at a point

    def chance(above: float) -> float:
        density = stats.t.pdf(x, PRIOR) * stats.t.cdf(x + above / scale, PRIOR)
        return float(np.trapezoid(density, x))

    assert found.best_C[0] == pytest.approx(chance(apart), abs=0.015)
    assert found.best_C.sum() == pytest.approx(1)
    assert found.within_C[0] == pytest.approx(chance(apart + 0.01), abs=0.015)
    assert (found.within_C >= found.best_C).all()


def test_more_seeds_and_a_larger_difference_make_it_surer() -> None:
    def best(seeds: int, apart: float) -> float:
        noise = {(c, s): 0.01 * ((c * 7 + s * 3) % 5 - 2) for c in range(4) for s in range(seeds)}
        found = chances(board({(c, s): 5 + apart * (c > 0) + n for (c, s), n in noise.items()}), 0.01)
        assert found is not None
        return float(found.best_C[0])

    assert best(5, 0.005) < best(5, 0.01) < best(5, 0.04)
    assert best(5, 0.01) < best(20, 0.01)


def test_the_same_is_said_whenever_it_is_asked() -> None:
    levels = {(c, s): 5 + 0.01 * c * s for c in range(4) for s in range(3)}
    first, again = chances(board(levels), 0.01), chances(board(levels), 0.01)
    assert first is not None
    assert again is not None
    assert first.best_C.tolist() == again.best_C.tolist()


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert chances(board({(1, 0): 5.0, (2, 0): 6.0}), 0.01) is None
    apart = board({(1, 0): 5.0, (1, 1): 5.1, (2, 7): 5.0, (2, 8): 5.2})
    assert chances(apart, 0.01, Pooled(1.0, 2.0, 2)) is None
