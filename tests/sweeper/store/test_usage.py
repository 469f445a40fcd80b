"""Samples of workers: a minute apart, the newest of a sweep, written by the lease's holder alone."""

from pathlib import Path

import pytest

from sweeper.store.engine import LeaseLost
from sweeper.store.queries import Reader
from sweeper.store.records import USAGE_EVERY, Usage
from sweeper.store.store import Store

BUSY = Usage(0.97, 400_000_000, None, None)


class At:
    """A clock that is set."""

    def __init__(self):
        self.now = 1000.0

    def wall(self) -> float:
        return self.now

    def steady(self) -> float:
        return self.now


@pytest.fixture
def clock() -> At:
    return At()


@pytest.fixture
def store(tmp_path: Path, clock: At):
    with_one = Store(f"sqlite:///{tmp_path}/sweeps.db", clock)
    for name in ("one", "two"):
        sweep = with_one.create_sweep(name=name, spec_text="", spec={}, code_version="0", folder="files")
        with_one.take_lease(sweep.id, "me", 60)
    yield with_one
    with_one.close()


@pytest.fixture
def reader(tmp_path: Path, store: Store):
    found = Reader(f"sqlite:///{tmp_path}/sweeps.db")
    yield found
    found.close()


def test_a_worker_has_a_sample_a_minute_and_others_theirs(store: Store, reader: Reader, clock: At):
    writer = store.writer(1, "me")
    assert writer.add_usage("a:1", 7, BUSY)
    clock.now += USAGE_EVERY - 1
    assert not writer.add_usage("a:1", 7, BUSY)
    assert writer.add_usage("b:2", None, BUSY._replace(gpu=0.5, gpu_memory=9))
    clock.now += 1
    assert writer.add_usage("a:1", 8, BUSY._replace(cpu=0.1))
    found = reader.usage(1)
    assert [(each.worker, each.trial, each.cpu) for each in found] == [
        ("a:1", 7, 0.97),
        ("b:2", None, 0.97),
        ("a:1", 8, 0.1),
    ]
    assert (found[1].gpu, found[1].gpu_memory, found[0].gpu) == (0.5, 9, None)


def test_the_newest_of_a_sweep_stay(store: Store, reader: Reader, clock: At):
    writer, other = store.writer(1, "me"), store.writer(2, "me")
    other.add_usage("a:1", 1, BUSY)
    for trial in range(12):
        clock.now += USAGE_EVERY
        writer.add_usage(f"a:{trial % 3}", trial, BUSY, most=5)
    assert [each.trial for each in reader.usage(1)] == [7, 8, 9, 10, 11]
    assert len(reader.usage(2)) == 1


def test_a_clock_that_was_set_back_stops_nothing(store: Store, reader: Reader, clock: At):
    writer = store.writer(1, "me")
    writer.add_usage("a:1", 1, BUSY)
    clock.now -= 10 * USAGE_EVERY
    assert writer.add_usage("a:1", 2, BUSY)
    assert [each.trial for each in reader.usage(1)] == [2, 1]


def test_only_the_holder_of_the_lease_writes(store: Store, reader: Reader, clock: At):
    clock.now += 120
    store.take_lease(1, "another", 60)
    with pytest.raises(LeaseLost):
        store.writer(1, "me").add_usage("a:1", 1, BUSY)
    assert reader.usage(1) == []


def test_events_are_counted_by_kind(store: Store, reader: Reader):
    writer = store.writer(1, "me")
    for kind in ("lost", "memory", "lost"):
        writer.add_event(kind, "something")
    assert reader.event_counts(1) == {"lost": 2, "memory": 1}
    assert reader.event_counts(2) == {}
