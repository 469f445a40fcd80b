"""Where a step's time goes."""

from functools import partial

import pytest

from benchmarks.forms import Case, our_step, prepared
from benchmarks.operators import GROUPS, shares


def test_shares_are_of_all_that_was_spent():
    learner, _, x0_BL = prepared(Case("bd3lm", "nano", 64, 31, 2, 4), with_plain=False)
    found = shares(partial(our_step, learner, x0_BL), steps=1)
    assert sum(found["shares"].values()) == pytest.approx(1, abs=1e-3)
    assert all(found["shares"][group] > 0 for group in GROUPS)
    assert found["operators"] > 100
