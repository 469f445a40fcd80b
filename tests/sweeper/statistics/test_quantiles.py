"""Quantiles against scipy's own, which are slower or of tests only."""

import math

import numpy as np
import pytest
from scipy import stats

from sweeper.statistics.quantiles import dunnett, power, student, tukey


@pytest.mark.parametrize("groups", [2, 3, 6, 12, 40])
@pytest.mark.parametrize("degrees", [2.0, 5.5, 20.0])
def test_tukey_is_the_studentized_range(groups: int, degrees: float) -> None:
    exact = float(stats.studentized_range.ppf(0.95, groups, degrees)) / math.sqrt(2)
    assert tukey(groups, degrees) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize(("groups", "degrees"), [(3, 2), (3, 7), (5, 4), (9, 11)])
def test_dunnett_is_a_multivariate_t(groups: int, degrees: int) -> None:
    """Of groups - 1 differences to one, of which any two have correlation a half."""
    shape = np.full((groups - 1, groups - 1), 0.5) + np.eye(groups - 1) / 2
    at = np.full(groups - 1, dunnett(groups, float(degrees)))
    within = stats.multivariate_t.cdf(at, shape=shape, df=degrees, random_state=np.random.default_rng(0))
    assert within == pytest.approx(0.95, abs=5e-4)


def test_dunnett_is_the_level_of_scipys_test() -> None:
    """Three groups that differ from the fourth by exactly q standard errors: p is 5%."""
    n, rng = 4, np.random.default_rng(0)
    raw_GN = rng.standard_normal((4, n))
    raw_GN -= raw_GN.mean(1, keepdims=True)
    error = math.sqrt((raw_GN**2).sum() / (4 * n - 4) * 2 / n)
    raw_GN[1:] += dunnett(4, 4 * n - 4.0) * error
    found = stats.dunnett(*raw_GN[1:], control=raw_GN[0], alternative="greater", rng=rng)
    assert found.pvalue == pytest.approx(0.05, abs=1e-3)


def test_of_two_groups_all_are_students() -> None:
    for degrees in (1.0, 2.0, 3.3, 30.0):
        assert tukey(2, degrees) == pytest.approx(student(degrees), rel=2e-3)
        assert dunnett(2, degrees) == pytest.approx(float(stats.t.ppf(0.95, degrees)), rel=2e-3)
    assert student(5.0) == pytest.approx(2.570582, rel=1e-6)


def test_more_groups_ask_for_more_and_more_degrees_for_less() -> None:
    for quantile in (dunnett, tukey):
        assert quantile(1, 5.0) == 0
        assert quantile(3, 5.0) < quantile(4, 5.0) < quantile(4, 4.0)
        assert quantile(4, 5.0, 0.9) < quantile(4, 5.0, 0.95)
    assert dunnett(6, 5.0) < tukey(6, 5.0)


@pytest.mark.parametrize("of", [1, 2, 3, 7, 63, 799, 8085, 10**6])
def test_a_power_of_a_chance_is_the_power_to_the_bit(of: int) -> None:
    """From 0 to 1, where it is no number any more, and about where that begins."""
    near = np.exp(-np.linspace(700, 800, 5001) / of)
    chances = np.concatenate([np.random.default_rng(of).uniform(0, 1, 9999), near, [0.0, 1.0, 5e-324]])
    assert power(chances, of).tobytes() == (chances**of).tobytes()
