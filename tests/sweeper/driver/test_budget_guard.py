"""The cap is hard, whatever trials cost and whatever was predicted; and how it is said."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.driver.budget_guard import BudgetGuard
from sweeper.spec.budget import Amount
from sweeper.spec.sections import Budget
from sweeper.spec.spec import SweepSpec, differences
from sweeper.spec.yaml_source import InvalidSpec
from tests.sweeper.driving import make_spec


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


GRAIN = 10.0  # seconds, of a GPU too: what is spent between two looks
cost = st.floats(0, GRAIN)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("budget.hours=null", "budget: says nothing: hours, gpu_hours, trials, tokens"),
        ("budget.hours=0", "budget.hours: must be greater than 0, got 0"),
        ("budget.trials=1.5", "budget.trials"),
        ("budget.hour=1", "budget.hour: unknown; did you mean budget.hours?"),
        ("budget=3", "budget"),
    ],
)
def test_a_budget_that_is_none_is_a_sentence(said: str, problem: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        make_spec(said)
    assert problem in str(caught.value)
    assert len(caught.value.problems) == 1


def test_a_raised_budget_is_no_other_sweep() -> None:
    plain, one, two = make_spec(), make_spec("budget.hours=1"), make_spec("budget={hours: 2, trials: 9}")
    for before in (plain, one, two):
        for after in (plain, one, two):
            assert differences(before.resolved(), after.resolved()) == []
    assert SweepSpec.from_resolved(two.resolved()).budget == Budget(hours=2, trials=9)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), slots=st.integers(1, 4), trials=st.none() | st.integers(1, 6))
def test_what_is_spent_never_passes_the_cap_by_more_than_the_grain(
    data: Any, slots: int, trials: int | None
) -> None:
    clock = Clock()
    hours, gpu_hours = (data.draw(st.none() | st.floats(0.01, 0.1)) for _ in range(2))
    if hours is None and gpu_hours is None and trials is None:
        trials = 3
    guard = BudgetGuard(Budget(hours=hours, gpu_hours=gpu_hours, trials=trials), clock=clock)
    live: dict[int, float] = {}
    names = iter(range(1000))
    for _ in range(data.draw(st.integers(5, 60))):
        if guard.overdrawn():
            break
        while len(live) < slots:
            estimate = Amount(data.draw(st.floats(0, 60)), data.draw(st.floats(0, 60)), trials=1)
            if guard.lacks(estimate):
                break
            live[name := next(names)] = 0.0
            guard.reserve(name, estimate)
            guard.begin_trial()
        clock.now += data.draw(cost)
        for name in list(live):
            live[name] += data.draw(cost)
            guard.charge(name, Amount(gpu_seconds=live[name]))
            if data.draw(st.booleans()):
                guard.release(name)
                del live[name]
    spent = guard.spent
    assert hours is None or spent.seconds <= hours * 3600 + GRAIN
    assert gpu_hours is None or spent.gpu_seconds <= gpu_hours * 3600 + GRAIN * slots
    assert trials is None or spent.trials <= trials


@settings(max_examples=60, deadline=None)
@given(data=st.data(), slots=st.integers(1, 4), hours=st.floats(0.01, 0.05))
def test_where_predictions_hold_the_cap_is_not_passed_at_all(data: Any, slots: int, hours: float) -> None:
    guard, live = BudgetGuard(Budget(gpu_hours=hours), clock=Clock()), {}
    names = iter(range(1000))
    for _ in range(data.draw(st.integers(5, 40))):
        while len(live) < slots:
            estimate = data.draw(st.floats(1, 60))
            if guard.lacks(Amount(gpu_seconds=estimate)):
                break
            live[name := next(names)] = (0.0, estimate)
            guard.reserve(name, Amount(gpu_seconds=estimate))
        for name, (paid, estimate) in list(live.items()):
            paid = min(estimate, paid + data.draw(cost))
            live[name] = paid, estimate
            guard.charge(name, Amount(gpu_seconds=paid))
            if paid == estimate:
                guard.release(name)
                del live[name]
        assert guard.spent.gpu_seconds <= hours * 3600 * (1 + 1e-6)


def test_no_running_time_passes_while_it_is_paused() -> None:
    clock = Clock()
    guard = BudgetGuard(Budget(hours=1), Amount(seconds=600), clock)
    for paused, minutes in ((True, 5), (False, 30), (True, 2), (True, 1), (False, 40)):
        clock.now += 60 * minutes
        guard.pause(paused)
    assert guard.spent.seconds == 600 + 60 * (5 + 2 + 0)
    clock.now += 43 * 60 - 1
    assert not guard.overdrawn()
    clock.now += 2
    assert guard.overdrawn() == "budget.hours = 1 is spent"
    assert guard.lacks(Amount()) == "budget.hours = 1 is spent"
