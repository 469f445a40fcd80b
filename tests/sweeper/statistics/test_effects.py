"""The share of the order of results that goes along with a parameter: bounds, invariances, coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.statistics.effects import FEWEST, MOST_GROUPS, Effect, effect, grouped

numbers = st.lists(st.floats(-3, 3), min_size=FEWEST, max_size=40)


@given(numbers, st.integers(0, 2**32 - 1))
def test_a_share_lies_in_its_interval_and_ranks_are_all_that_counts(values: list[float], seed: int) -> None:
    results = np.random.default_rng(seed).normal(size=len(values)).tolist()
    found = effect(values, results)
    if found is None:
        assert len(set(values)) < len(values)
        return
    assert 0 <= found.low <= found.share <= found.high <= 1
    wild = [math.inf if each == max(results) else math.exp(each) for each in results]
    assert effect(values, wild) == found  # one that diverged weighs no more than the last


@given(st.lists(st.one_of(st.integers(0, 9), st.floats(-1, 1)), min_size=1, max_size=60))
def test_groups_are_few_and_keep_the_order(values: list[float]) -> None:
    group = grouped(values)
    distinct = sorted(set(values))
    assert set(group) == set(range(group.max() + 1))
    if len(distinct) > MOST_GROUPS:
        assert group.max() < MOST_GROUPS
        order = np.argsort(values, kind="stable")
        assert (np.diff(group[order]) >= 0).all()
    else:
        assert len(set(group)) == len({str(value) for value in values})


def test_what_decides_alone_has_all_of_it() -> None:
    found = effect(["a"] * 10 + ["b"] * 10, [0.0] * 10 + [1.0] * 10)
    assert found is not None
    assert found.share == pytest.approx(1)
    assert found.low > 0.99


def test_too_few_results_or_one_value_say_nothing() -> None:
    assert effect(list(range(FEWEST - 1)), list(range(FEWEST - 1))) is None
    assert effect(["a"] * 20, list(range(20))) is None
    assert effect([1, 2] * 10, [3.0] * 20) is None


def draws(means: list[float], trials: int) -> list[Effect]:
    """Of 30 results each, in groups of these means."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(trials):
        group = rng.integers(0, len(means), 30)
        one = effect([str(each) for each in group], (np.array(means)[group] + rng.normal(size=30)).tolist())
        assert one is not None
        found.append(one)
    return found


def test_an_interval_covers_the_share_nineteen_times_in_twenty() -> None:
    means = [0.0, 0.8, 1.6]
    share = float(np.var(means) / (1 + np.var(means)))
    covered = sum(each.low <= share <= each.high for each in draws(means, 100))
    assert covered >= 88  # of 95: three standard deviations


def test_chance_alone_is_seldom_taken_for_more() -> None:
    assert sum(each.low > 0 for each in draws([0.0, 0.0, 0.0], 100)) <= 8  # of 2.5
