"""A worker's samples of itself: how often, of what, and that nothing it meets there fails a run."""

import pytest

from sweeper.execution import usage
from sweeper.execution.usage import FIRST, SLACK, Sampler, resident
from sweeper.store.usage import EVERY


class At:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_comes_soon_and_the_others_a_minute_apart():
    clock = At()
    sampler = Sampler(gpu=False, clock=clock)
    assert sampler.due() is None
    clock.now = FIRST
    first = sampler.due()
    assert first is not None
    assert (first.gpu, first.gpu_memory) == (None, None)
    assert first.memory == pytest.approx(resident(), rel=0.5)
    clock.now += EVERY
    assert sampler.due() is None
    clock.now += SLACK
    assert sampler.due() is not None


def test_cores_are_seconds_of_the_processor_over_those_that_passed(monkeypatch: pytest.MonkeyPatch):
    spent = At()
    monkeypatch.setattr("time.process_time", spent)
    clock = At()
    sampler = Sampler(gpu=False, clock=clock)
    clock.now, spent.now = 10.0, 25.0
    found = sampler.due()
    assert found is not None
    assert found.cpu == 2.5
    clock.now, spent.now = clock.now + 100.0, spent.now + 50.0
    found = sampler.due()
    assert found is not None
    assert found.cpu == 0.5


def test_a_system_that_says_nothing_fails_no_run(monkeypatch: pytest.MonkeyPatch):
    def broken() -> int:
        raise OSError("no /proc here")

    monkeypatch.setattr(usage, "resident", broken)
    clock = At()
    sampler = Sampler(gpu=True, clock=clock)
    clock.now = FIRST
    assert sampler.due() is None


def test_a_card_that_nobody_has_begun_to_use_is_left_alone():
    clock = At()
    sampler = Sampler(gpu=True, clock=clock)
    clock.now = FIRST
    found = sampler.due()
    assert found is not None
    assert (found.gpu, found.gpu_memory) == (None, None)
