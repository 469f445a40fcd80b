"""Where does a rate reach a target? Several halvings at once find what one after another does."""

import numpy as np
import pytest

from trainer.noise.quadrature import crossings


@pytest.mark.parametrize(
    ("p", "inverse"),
    [
        (lambda t: t**3, np.cbrt),
        (lambda t: np.clip(4 * t - 1, 0.0, 1.0), lambda p: (p + 1) / 4),  # it stands still at both ends
        (lambda t: np.where(t < 0.5, 0.0, t), lambda p: np.maximum(p, 0.5)),  # it jumps
        (lambda t: -np.expm1(-40 * t), lambda p: -np.log1p(-p) / 40),
    ],
)
def test_a_crossing_is_where_the_inverse_says(p, inverse):
    targets = np.array([0.9, 1e-9, 0.5, 0.25, 0.7])  # in no order
    np.testing.assert_allclose(crossings(p, 0.0, 1.0, targets), inverse(targets), rtol=1e-12, atol=2**-63)


def test_it_is_the_end_of_the_stretch_where_a_target_is_never_reached():
    found = crossings(lambda t: t / 2, 0.25, 0.75, np.array([0.3, 0.4, 2.0]))
    np.testing.assert_allclose(found, [0.6, 0.75, 0.75], rtol=1e-12)
    assert found[-1] == 0.75


def test_below_the_start_it_is_the_start_to_what_a_float_can_tell():
    (found,) = crossings(lambda t: t, 0.25, 0.75, np.array([0.0]))
    assert 0.25 <= found <= 0.25 * (1 + 1e-15)
