"""Parts of a variance: nothing is counted twice, nothing is lost."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.statistics.parts import Parts, parts

VARIANCE = st.floats(1e-12, 1e3)


def test_masks_are_in_the_text_and_in_the_seeds_where_each_has_its_own() -> None:
    assert parts(0.6, 0.2, 0.5, of_each_seed=False) == pytest.approx(Parts(0.125, 0.625, 0.25))
    assert parts(0.6, 0.7, 0.5, of_each_seed=True) == pytest.approx(Parts(0.125, 0.625, 0.25))
    assert parts(0.6, 0.2, None, of_each_seed=False) == pytest.approx((0.75, None, 0.25))


def test_what_is_expected_of_masks_may_be_more_than_was_seen() -> None:
    assert parts(0.6, 0.2, 9.0, of_each_seed=False) == pytest.approx(Parts(0.0, 0.75, 0.25))
    assert parts(0.6, 0.7, 9.0, of_each_seed=True) == pytest.approx(Parts(0.0, 1.0, 0.0))


@given(VARIANCE, VARIANCE, st.none() | VARIANCE, st.booleans())
def test_shares_add_up(text: float, seeds: float, masks: float | None, of_each_seed: bool) -> None:
    found = parts(text, seeds, masks, of_each_seed=of_each_seed)
    assert found is not None
    assert min(found.text, found.masks or 0.0, found.seeds) >= 0
    assert found.text + (found.masks or 0.0) + found.seeds == pytest.approx(1)


def test_nothing_and_the_unknown_have_no_parts() -> None:
    assert parts(0.0, 0.0, 0.0, of_each_seed=False) is None
    assert parts(0.1, math.inf, None, of_each_seed=False) is None
