"""A worker's samples of itself: how often, of what, and that nothing it meets there fails a run."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from sweeper.execution import usage
from sweeper.execution.usage import FIRST, SLACK, Sampler, resident
from sweeper.store.records import USAGE_EVERY


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
    clock.now += USAGE_EVERY
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


def percent_busy() -> int:
    return 37


def without_nvml() -> int:
    raise ModuleNotFoundError("pynvml does not seem to be installed or it can't be imported.")


@pytest.mark.parametrize(("utilization", "share"), [(percent_busy, 0.37), (without_nvml, None)])
def test_of_a_card_its_use_and_what_is_held(
    utilization: Callable[[], int], share: float | None, monkeypatch: pytest.MonkeyPatch
):
    """torch as it is on a machine with a card: it says percent, and bytes; or that nothing can be asked."""
    cuda = SimpleNamespace(
        is_initialized=lambda: True, memory_reserved=lambda: 3 << 30, utilization=utilization
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    clock = At()
    sampler, slot = Sampler(gpu=True, clock=clock), Sampler(gpu=False, clock=clock)
    clock.now = FIRST
    found, without = sampler.due(), slot.due()
    assert found is not None
    assert without is not None
    assert (found.gpu, found.gpu_memory) == (share, 3 << 30)
    assert (without.gpu, without.gpu_memory) == (None, None)  # a trial that was given no card asks for none
