"""The ladder of PASHA: when it grows, who goes on at its top, and what counts as noise."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.search.early_stopping import EarlyStopping
from sweeper.strategies.progressive_halving import TOP, noise
from sweeper.strategies.pruners import Pasha, SuccessiveHalving
from tests.sweeper.strategies.test_pruners import record, values_of

LAST = 320  # rungs at 10, 20, 40, 80, 160


def curve(value: float, slope: float = -1.0) -> list[float]:
    return [value + slope * i for i in range(LAST // 10)]


def replay(rule: Pasha | SuccessiveHalving, curves: list[list[float]]) -> tuple[EarlyStopping, list[str]]:
    """Why each was pruned; '' of a complete one."""
    stopping, why = EarlyStopping("s", rule, "val_ppl", LAST), []
    for number, values in enumerate(curves):
        why.append(values_of(stopping, number, *values, steps=LAST))
        stopping.end(record(number), "pruned" if why[-1] else "complete")
    return stopping, why


def top(stopping: EarlyStopping) -> int:
    trials = stopping._study.get_trials(deepcopy=False)
    return max(trial.system_attrs.get(TOP, 1) for trial in trials)


def test_while_the_order_is_settled_the_ladder_does_not_grow_and_the_best_at_its_top_go_on() -> None:
    """Curves that never cross: two rungs tell all that there is to tell."""
    order = random.Random(0).sample(range(30), 30)
    stopping, why = replay(Pasha(min_steps=10), [curve(100.0 + value) for value in order])
    assert top(stopping) == 1
    for number, reason in enumerate(why):
        assert (reason == "") == (order[number] == min(order[: number + 1]))
    at_the_top = [reason for reason in why if "order" in reason]
    assert at_the_top
    assert all(reason.startswith("at step 20 of 320 of the fine-tune val_ppl ") for reason in at_the_top)
    assert all(
        reason.endswith("trials at rung 1, and their order is that of rung 0") for reason in at_the_top
    )


def test_where_it_is_never_settled_it_decides_as_successive_halving_does() -> None:
    """Trial k is the best so far until rung k, where it is worse than the first, which never changes."""
    first = [100.0] * (LAST // 10)
    crossing = [[100.0 - k if i + 1 < 2**k else 100.0 + k for i in range(LAST // 10)] for k in range(1, 5)]
    chance = random.Random(1)
    others = [[chance.uniform(90, 110)] * (LAST // 10) for _ in range(20)]
    stopping, why = replay(Pasha(min_steps=10), [first, *crossing, *others])
    assert top(stopping) == 5
    assert why == replay(SuccessiveHalving(min_steps=10, reduction_factor=2), [first, *crossing, *others])[1]


@pytest.mark.parametrize("before", [0.25, 3.0])
def test_trials_within_the_noise_of_each_other_are_ties(before: float) -> None:
    """Rungs are at the 4th and the 8th value. The second trial wavers about the first by .25.

    The third is before the first at rung 0, and behind it by .25 at rung 1.
    """
    first = [100.0] * (LAST // 10)
    wavering = [100.0 + (-0.25 if i % 2 or i == 6 else 0.25) for i in range(LAST // 10)]
    wavering[7] = 100.25
    third = [*first]
    third[3], third[7] = 100.0 - before, 100.25
    stopping, why = replay(Pasha(min_steps=40), [first, wavering, third])
    if before <= 0.25:
        assert top(stopping) == 1
        assert why == ["", "", ""]
    else:
        assert top(stopping) == 2
        assert why[:2] == ["", ""]
        assert why[2].endswith(" is not the best of the 3 trials at rung 1, where 100 goes on")


def test_what_crosses_to_and_fro_is_noise_and_what_crosses_once_is_not() -> None:
    straight, crossing = {1: 4.0, 2: 4.0, 3: 4.0}, {1: 5.0, 2: 3.0, 3: 3.0}
    wavering = {1: 5.0, 2: 3.0, 3: 4.25}
    assert noise([straight, crossing]) == 0
    assert noise([straight, wavering]) == 0.25
    assert noise([straight, {**wavering, 4: 9.0}]) == 0.25  # at the last step that both have
    assert noise([]) == noise([straight]) == noise([straight, straight]) == 0


@given(
    curves=st.lists(st.dictionaries(st.integers(1, 8), st.integers(0, 5).map(float), min_size=1), max_size=6),
    shift=st.integers(-5, 5),
)
def test_noise_knows_no_level_and_no_order(curves: list[dict[int, float]], shift: int) -> None:
    found = noise(curves)
    assert found >= 0
    assert noise(curves[::-1]) == found
    assert noise([{step: -value + shift for step, value in each.items()} for each in curves]) == found
