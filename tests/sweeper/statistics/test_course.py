"""The course of a search, beside the slow and obvious definitions."""

import math
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sweeper.statistics.course import at_once, best_so_far, rungs, shares_below

results = st.lists(
    st.one_of(st.integers(-5, 5).map(float), st.just(math.nan), st.just(math.inf)), max_size=15
)
ends = st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=20)
spans = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=12)


@given(results)
def test_the_best_so_far_is_the_lowest_of_all_before(found: list[float]) -> None:
    for i, best in enumerate(best_so_far(found)):
        assert best == min((each for each in found[: i + 1] if math.isfinite(each)), default=math.inf)


@given(results)
def test_the_share_below_counts_all_and_finds_the_finite(found: list[float]) -> None:
    values, shares = shares_below(found)
    assert sorted({each for each in found if math.isfinite(each)}) == values.tolist()
    for value, share in zip(values, shares, strict=True):
        assert math.isclose(share, sum(each <= value for each in found) / len(found))


@given(ends)
def test_rungs_lose_what_was_ended_there_and_nothing_else(found: list[tuple[int, bool]]) -> None:
    ladder = rungs([step for step, _ in found], [early for _, early in found])
    assert [rung.step for rung in ladder] == sorted({step for step, early in found if early})
    assert sum(rung.ended for rung in ladder) == sum(early for _, early in found)
    for rung in ladder:
        assert rung.came == sum(step >= rung.step for step, _ in found)
        assert rung.left == sum(
            step > rung.step or (step == rung.step and not early) for step, early in found
        )
    for one, after in pairwise(ladder):
        assert after.came <= one.left


@given(spans)
def test_how_many_ran_at_once_is_counted_moment_by_moment(found: list[tuple[int, int]]) -> None:
    began, ended = [a for a, _ in found], [a + took for a, took in found]
    most, mean = at_once(began, ended)
    moments = np.arange(min(began), max(ended)) + 0.5
    running = [sum(a < moment < b for a, b in zip(began, ended, strict=True)) for moment in moments]
    assert most == max(running)
    assert math.isclose(mean, np.mean(running))


def test_nobody_ran() -> None:
    assert at_once([], []) == (0, 0.0)
