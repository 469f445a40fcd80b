"""How many times the steps does one run take to where another has come?"""

import math
from collections.abc import Sequence

Curve = Sequence[tuple[int, float]]  # (step, value), in order of step; a lower value is better


def log_share(a_S: Curve, b_S: Curve) -> float:
    """log of (steps until a has come to b's end) / (b's steps): below 0, a is sooner.

    Where a never comes there, minus the log of b's share on the way to a's end; so that with a and b changed
    about it is the same number with the other sign. Between two looks the curve is a line; before the first
    there is none, so a share is at least that of the first look. NaN where one has no curve.
    """
    if not a_S or not b_S:
        return math.nan
    if a_S[-1][1] <= b_S[-1][1]:
        return math.log(_first_at(a_S, b_S[-1][1]) / b_S[-1][0])
    return -math.log(_first_at(b_S, a_S[-1][1]) / a_S[-1][0])


def _first_at(curve_S: Curve, value: float) -> float:
    """The first step at which the curve is there; it does come there."""
    before = curve_S[0]
    for step, reached in curve_S:
        if reached <= value:
            if step == before[0]:
                return step
            return before[0] + (step - before[0]) * (before[1] - value) / (before[1] - reached)
        before = (step, reached)
    raise ValueError(f"the curve ends at {curve_S[-1][1]}, above {value}")
