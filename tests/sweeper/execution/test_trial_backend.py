"""Who is taken to be silent? Not those whom nobody could hear."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sweeper.driver.jobs import NOTHING, News, StageJob, TrialJob
from sweeper.execution import trial_backend
from sweeper.execution.trial_backend import TrialBackend
from sweeper.execution.watchdog import Watchdog
from sweeper.planning.machine import Slots
from sweeper.store.records import Usage
from sweeper.store.sqlite_files import PATIENCE

LIMIT = 300.0  # what resources.time_limit is by itself


class Waiting:
    """A driver that now and then waits for its store's lock."""

    stop_reason = None

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: Iterator[float] = iter(())

    def take(self, *said: Any) -> bool:
        return True

    def poll(self) -> bool:
        self.now += next(self.waits, 0.0)
        return True


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    driver = Waiting()
    monkeypatch.setattr(trial_backend, "time", SimpleNamespace(monotonic=lambda: driver.now))
    return driver


def silent_after(driver: Any, looking: list[float], storing: float = 0.0) -> bool:
    """Whether a worker is that was heard of once. looking: seconds that the driver waits in the store when it
    looks round, at turns of a second each; storing: before each, to keep what others have reported."""
    backend = TrialBackend(
        driver, Slots(1, 1, 0), "tests.fakes", Watchdog("resume"), LIMIT, lambda *said: None
    )
    driver.waits = iter(looking)
    backend.turn()
    assert not backend.is_silent("a")
    for _ in looking:
        driver.now += 1.0 + storing
        backend.turn()
        if backend.is_silent("a"):
            return True
    assert backend.failure is None
    return False


def test_a_driver_that_waited_for_its_store_ends_no_worker(driver: Waiting) -> None:
    assert not silent_after(driver, [0.0, PATIENCE, 0.0, PATIENCE, 0.0])
    assert not silent_after(driver, [0.0] * 5, storing=PATIENCE)
    assert not silent_after(driver, [0.0] * int(LIMIT - 1))


def test_who_says_nothing_is_silent_all_the_same(driver: Waiting) -> None:
    assert silent_after(driver, [0.0] * int(LIMIT + 2))
    assert silent_after(driver, [PATIENCE, *[0.0] * int(LIMIT + 2)])


def test_a_workers_sample_is_kept_with_the_trial_that_it_runs(driver: Waiting) -> None:
    kept: list[Any] = []
    backend = TrialBackend(
        driver, Slots(1, 1, 0), "tests.fakes", Watchdog("resume"), LIMIT, lambda *said: kept.append(said)
    )
    busy = Usage(0.9, 10**9, None, None)
    backend._jobs = {"a": TrialJob(7, 1, {}, "", None, 0), "b": StageJob("key", 1, {}, "")}
    for tune_id in ("a", "b"):
        for usage in (busy, None):
            news = News((), NOTHING, False, None, f"host:{tune_id}", usage)
            assert backend.receive(tune_id, {"news": news})
    assert kept == [("host:a", 7, busy), ("host:b", None, busy)]
