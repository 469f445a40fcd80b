"""The error that asks spend, and what a session of them keeps: hardly ever something that is no better."""

import itertools
import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sweeper.statistics.differences import Differences, differences, pooled
from sweeper.statistics.evidence import ALPHA, confidence, level, more_seeds, spent, verdict
from sweeper.statistics.field import Field
from sweeper.statistics.quantiles import student

SESSIONS, ASKS = 400, 100
SEEDS = (2, 3, 4, 5)  # a pair is asked about at each of these, so a quarter of the asks are of other rivals


def test_the_levels_of_all_asks_are_five_percent_together() -> None:
    levels = [level(ask) for ask in range(1, 10_001)]
    assert all(0 < later < earlier for earlier, later in itertools.pairwise(levels))
    for asks in (1, 2, 100, 10_000):
        assert math.fsum(levels[:asks]) == pytest.approx(spent(asks))
        assert spent(asks) < ALPHA
    assert spent(10**9) == pytest.approx(ALPHA)


def test_the_first_ask_has_the_interval_that_compare_shows() -> None:
    assert confidence(1) == pytest.approx(0.95)


finite = st.floats(-1, 1)


@given(st.tuples(finite, finite), st.floats(0, 0.5))
def test_a_verdict_says_what_the_whole_interval_says(ends: tuple[float, float], margin: float) -> None:
    low, high = sorted(ends)
    said = verdict(low, high, margin)
    assert (said == "keep") == (high < 0)
    if said == "discard":
        assert high >= 0
        assert low >= -margin
    if said == "not enough evidence":
        assert low < -margin <= 0 <= high


@given(st.tuples(finite, finite))
def test_who_is_kept_is_discarded_the_other_way_round(ends: tuple[float, float]) -> None:
    low, high = sorted(ends)
    if verdict(low, high) == "keep":
        assert verdict(-high, -low) == "discard"


def of_a_pair(rng: np.random.Generator, seeds: int, apart: float, noise: float = 0.01) -> Differences:
    nats_CSD = 5 + rng.normal(0, 0.3, 40) + rng.normal(0, noise, (2, seeds, 1)) + np.zeros((2, seeds, 40))
    nats_CSD[0] -= apart
    return differences(Field(100 * nats_CSD, np.full(40, 100.0)), [1], pooled(np.empty((0, 1))), 0.0)


def test_so_many_seeds_more_are_enough_and_one_less_is_not() -> None:
    found = of_a_pair(np.random.default_rng(3), 3, 0.01)
    more = more_seeds(found, 0.0, 7)
    assert more is not None
    assert more > 1
    mean, spread = found.mean_CK[0, 0], found.seeds_CK[0, 0] * math.sqrt(3)
    text = student(found.text_degrees, confidence(7)) * found.text_CK[0, 0]
    halves = [
        math.hypot(student(2 + extra, confidence(7)) * spread / math.sqrt(3 + extra), text)
        for extra in (more - 1, more)
    ]
    assert halves[1] < abs(mean) <= halves[0]


def test_a_later_ask_wants_more_seeds_and_a_margin_wants_fewer() -> None:
    found = of_a_pair(np.random.default_rng(3), 3, 0.01)
    early, late = more_seeds(found, 0.0, 1), more_seeds(found, 0.0, 50)
    assert early is not None
    assert late is not None
    assert early < late
    equal = of_a_pair(np.random.default_rng(4), 3, 0.0)
    with_margin, without = more_seeds(equal, 0.05, 1), more_seeds(equal, 0.0, 1)
    assert with_margin is not None
    assert without is None or with_margin < without


def test_where_the_text_cannot_tell_no_number_of_seeds_is_said() -> None:
    rng = np.random.default_rng(5)
    found = of_a_pair(rng, 3, 0.01)._replace(text_CK=np.full((2, 1), 0.05))
    assert more_seeds(found, 0.0, 1) is None


# --- sessions ------------------------------------------------------------------------------------------
class Asked(NamedTuple):
    """What a session asks of equal configurations: pairs, each at every number of seeds."""

    pairs: list[tuple[int, int]]
    by_seeds: list[Differences]

    def keeps(self, sure: Sequence[float]) -> bool:
        """Whether any ask, in the order in which seeds arrive, ends with 'keep'. sure: confidence by ask."""
        order = [(pair, found) for pair in self.pairs for found in self.by_seeds]
        for (pair, found), now in zip(order, sure, strict=True):
            half_CK = found.half_width(partial(student, confidence=now), student(found.text_degrees, now))
            mean, half = float(found.mean_CK[pair]), float(half_CK[pair])
            if verdict(mean - half, mean + half) == "keep":
                return True
        return False


def asked(rng: np.random.Generator, one_rival: bool, text: float) -> Asked:
    """one_rival: all are held against the first; else each pair is of two others. Seeds, documents, and
    configurations on each of them have their effects; text: of a configuration on a document."""
    C, D, pairs = (ASKS // len(SEEDS) + 1 if one_rival else 2 * ASKS // len(SEEDS)), 30, ASKS // len(SEEDS)
    common_SD = rng.normal(0, 0.1, (max(SEEDS), 1)) + rng.normal(0, 0.8, D)
    own_CSD = rng.normal(0, 0.02, (C, max(SEEDS), 1)) + rng.normal(0, text, (C, 1, D))
    field = Field(100 * (5 + common_SD + own_CSD), np.full(D, 100.0))
    places = [(c + 1, 0) if one_rival else (2 * c, 2 * c + 1) for c in range(pairs)]
    return Asked(places, [differences(field.first(seeds), [0] if one_rival else None) for seeds in SEEDS])


@pytest.mark.parametrize("one_rival", [True, False])
@pytest.mark.parametrize("text", [pytest.param(0.0, marks=pytest.mark.long), 0.05])
def test_at_most_five_percent_of_sessions_keep_something_that_is_no_better(
    one_rival: bool, text: float
) -> None:
    rng = np.random.default_rng(13)
    sessions = [asked(rng, one_rival, text) for _ in range(SESSIONS)]
    spending = [confidence(ask) for ask in range(1, ASKS + 1)]
    kept = sum(each.keeps(spending) for each in sessions)
    assert kept <= stats.binom.ppf(0.99, SESSIONS, ALPHA)
    # Each at the first one's level: then more do, so this can fail.
    unspent = sum(each.keeps([confidence(1)] * ASKS) for each in sessions)
    assert unspent > stats.binom.ppf(0.99, SESSIONS, ALPHA)
