"""Which of two runs comes sooner to where the other has come, and by how much."""

import math
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from sweeper.statistics.sooner import Curve, log_share


@st.composite
def curves(draw: st.DrawFn) -> Curve:
    """Looks at growing steps; the values go up and down as they like."""
    gaps = draw(st.lists(st.integers(1, 50), min_size=1, max_size=8))
    return [(step, draw(st.floats(1, 9))) for step in accumulate(gaps)]


@given(a_S=curves(), b_S=curves())
def test_the_other_way_about_it_is_the_same_with_the_other_sign(a_S: Curve, b_S: Curve) -> None:
    if a_S[-1][1] != b_S[-1][1]:
        assert log_share(a_S, b_S) == -log_share(b_S, a_S)


@given(a_S=curves(), b_S=curves(), by=st.integers(2, 9))
def test_the_unit_of_steps_does_not_matter(a_S: Curve, b_S: Curve, by: int) -> None:
    slow_a, slow_b = ([(step * by, value) for step, value in curve] for curve in (a_S, b_S))
    assert math.isclose(log_share(slow_a, slow_b), log_share(a_S, b_S), abs_tol=1e-9)


@given(times=st.integers(2, 8), of=st.integers(1, 30))
def test_one_that_goes_the_same_way_faster_is_as_much_sooner(times: int, of: int) -> None:
    slow = [(step * times, 9 - step / 10) for step in range(1, of + 1)]
    fast = [(step, value) for step, (_, value) in enumerate(slow, start=1)]
    assert math.isclose(log_share(fast, slow), -math.log(times), abs_tol=1e-9)


def test_between_two_looks_the_curve_is_a_line() -> None:
    assert math.isclose(log_share([(10, 4.0), (20, 2.0)], [(40, 3.0)]), math.log(15 / 40))
    assert math.isclose(log_share([(10, 3.0)], [(20, 4.0), (40, 2.0)]), -math.log(30 / 10))
    assert math.isnan(log_share([], [(40, 3.0)]))
