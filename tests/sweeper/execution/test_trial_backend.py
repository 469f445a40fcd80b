"""Who is taken to be silent? Not those whom nobody could hear."""

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sweeper.driver.failures import Failure, Lost, Silent, Unready
from sweeper.driver.jobs import NOTHING, Job, News, StageJob, TrialJob
from sweeper.execution import trial_backend
from sweeper.execution.trial_backend import AGAIN, PLACELESS, READY, TrialBackend
from sweeper.execution.watchdog import Watchdog
from sweeper.planning.machine import Slots
from sweeper.store.records import Usage
from sweeper.store.sqlite_files import PATIENCE

LIMIT = 300.0  # what resources.time_limit is by itself


class Waiting:
    """A driver that now and then waits for its store's lock."""

    stop_reason = None

    def __init__(self) -> None:
        self.now, self.load = 0.0, 0.5  # seconds; how many want each core of this machine
        self.said: list[str] = []
        self.failed: list[tuple[Job, Failure]] = []
        self.events = SimpleNamespace(note=lambda kind, text: self.said.append(f"{kind}: {text}"))
        self.waits: Iterator[float] = iter(())

    def take(self, *said: Any) -> bool:
        return True

    def fail(self, job: Job, failure: Failure) -> None:
        self.failed.append((job, failure))

    def poll(self) -> bool:
        self.now += next(self.waits, 0.0)
        return True


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Waiting:
    driver = Waiting()
    monkeypatch.setattr(trial_backend, "time", SimpleNamespace(monotonic=lambda: driver.now))
    monkeypatch.setattr(trial_backend.os, "getloadavg", lambda: (driver.load * os.cpu_count(), 0.0, 0.0))
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


# --- workers that are being made ----------------------------------------------------------------------
def backend_of(driver: Any, slots: Slots | None = None) -> TrialBackend:
    slots = slots or Slots(2, 1, 0)
    return TrialBackend(driver, slots, "tests.fakes", Watchdog("resume"), LIMIT, lambda *said: None)


def unready_at(
    driver: Waiting, backend: TrialBackend, actor: int, seconds: float, wait: float = 0.0
) -> int | None:
    """The second, of so many, at which the actor is said to be ended. wait: of the driver, in the store."""
    for second in range(int(seconds)):
        if backend.is_unready("a", actor):
            return second
        driver.waits = iter([wait])
        driver.now += 1.0
        backend.turn()
    return None


def test_an_actor_that_has_its_place_and_never_answers_is_ended_once(driver: Waiting) -> None:
    backend = backend_of(driver)
    assert unready_at(driver, backend, 1, 1000) == READY + 1
    assert unready_at(driver, backend, 1, 1000) is None, "it is ended already"


def test_another_actor_for_the_same_trial_has_time_of_its_own(driver: Waiting) -> None:
    """Tune gives a trial whose actor is being made one that has become free."""
    backend = backend_of(driver)
    assert unready_at(driver, backend, 1, READY - 1) is None
    assert unready_at(driver, backend, 2, 1000) == READY + 1


def test_nobody_is_unready_whom_the_driver_could_not_hear(driver: Waiting) -> None:
    assert unready_at(driver, backend_of(driver), 1, READY - 1, wait=PATIENCE) is None


def test_nobody_is_unready_whom_the_machine_has_no_time_for(driver: Waiting) -> None:
    backend = backend_of(driver)
    assert unready_at(driver, backend, 1, READY - 10) is None
    driver.load = 2.0
    assert unready_at(driver, backend, 1, 5000) is None
    driver.load = 1.0  # all cores train
    assert unready_at(driver, backend, 1, 5000) == 11


@pytest.mark.parametrize("ended", ["silent", "unready", None])
def test_a_job_whose_worker_died_hears_why(driver: Waiting, ended: str | None) -> None:
    backend = backend_of(driver)
    job = TrialJob(7, 1, {}, "", None, 0)
    backend._jobs = {"a": job}
    if ended == "unready":
        assert not backend.is_unready("a", 1)
        driver.now += READY + 1
        assert backend.is_unready("a", 1)
    elif ended == "silent":
        assert not backend.is_silent("a")
        driver.now += LIMIT + 1
        assert backend.is_silent("a")
    backend.died("a")
    why = {"silent": Silent(), "unready": Unready("no sign of life for 10:00"), None: Lost()}
    assert driver.failed == [(job, why[ended])]


def test_that_there_is_no_place_is_said_now_and_then(
    driver: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_backend.ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 2.0})
    monkeypatch.setattr(trial_backend.ray, "available_resources", lambda: {"CPU": 2.0})
    backend = backend_of(driver, slots=Slots(4, 3, 0.5))

    def wait(seconds: float, *trials: str) -> list[str]:
        before = len(driver.said)
        for _ in range(int(seconds)):
            driver.now += 1.0
            backend.wait_for_places(set(trials))
        return driver.said[before:]

    assert wait(10) == []
    assert wait(PLACELESS, "a", "b") == []
    (said,) = wait(AGAIN, "a", "b")
    assert said == "waiting: 2 trials wait for a place of 3 CPU and 0.5 GPU; free: CPU 2 of 8, GPU 0 of 2"
    assert len(wait(3 * AGAIN, "b")) == 3
    assert wait(1) == []
    for each in "abcdefgh":  # one after another, as in any sweep: a moment each
        assert wait(PLACELESS, each) == []
    assert backend.failure is None


@pytest.mark.parametrize("way", ["complete", "died"])
def test_nothing_is_kept_of_a_trial_that_has_ended(driver: Waiting, way: str) -> None:
    """What is gone through at every turn does not grow with a sweep."""
    backend = backend_of(driver)
    backend._jobs = {name: TrialJob(trial, 1, {}, "", None, 0) for trial, name in enumerate("ab")}
    for name in "ab":
        backend.is_unready(name, 1)
        backend.is_silent(name)
    driver.now += 2 * READY
    assert all((backend.is_unready("a", 1), backend.is_unready("b", 1)))
    assert backend.first_of({"a", "b"}) == "a"
    backend.complete("a", None) if way == "complete" else backend.died("a")
    assert backend.first_of({"a", "b"}) == "b"
    for kept in (backend._jobs, backend._heard, backend._ended):
        assert list(kept) == ["b"]
    assert list(backend._made) == [("b", 1)]


@pytest.mark.parametrize(
    ("slots", "fused", "threads"),
    [
        (Slots(8, 1, 0.25, fused=8), 8, 4),  # as many as there are on a GPU, whatever room it has
        (Slots(4, 1, 1, fused=8), 1, 1),  # nobody to share a process with
        (Slots(4, 0.5, 0, fused=2), 2, 1),
    ],
)
def test_a_process_is_shared_where_there_is_somebody_to_share_it(
    slots: Slots, fused: int, threads: int, driver: Waiting
) -> None:
    driver.next = lambda: TrialJob(1, 1, {}, "1", None, 0)  # type: ignore[attr-defined]
    given = backend_of(driver, slots=slots).suggest("a")
    assert isinstance(given, dict)
    assert (given["fused"], given["threads"]) == (fused, threads)
