"""Only the holder of the lease writes, whatever two drivers do."""

from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeper.store.clock import Clock
from sweeper.store.controls import request
from sweeper.store.engine import LeaseLost, StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import (
    SweepRecord,
)
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from tests.sweeper.store.stores import FEW, WRITES, contents, in_threads, new_sweep, new_trial, numbers


def test_a_lease_keeps_others_off_until_it_runs_out(store: Store, sweep: SweepRecord) -> None:
    with pytest.raises(LeaseLost, match=r"sweep first is being run by me, whose lease runs out in 3[56]"):
        store.take_lease(sweep.id, "you", 3600)
    store.take_lease(sweep.id, "me", -1)  # renewed, and run out already
    assert store.writer(sweep.id, "me").add_configuration("a", {}) > 0  # nobody else took it
    store.take_lease(sweep.id, "you", 10)
    store.release_lease(sweep.id, "me")  # not me's any more: nothing happens
    with pytest.raises(LeaseLost, match="by you"):
        store.take_lease(sweep.id, "me", 10)
    store.release_lease(sweep.id, "you")
    store.take_lease(sweep.id, "me", 10)
    with pytest.raises(StoreError, match="there is no sweep 99"):
        store.take_lease(99, "me", 10)


def test_a_clock_that_is_set_back_keeps_others_off_no_longer_than_a_lease(tmp_path: Path) -> None:
    wall = [1e9]
    with closing(Store(f"sqlite:///{tmp_path}/a.db", Clock(wall=lambda: wall[0]))) as store:
        sweep = new_sweep(store, "first")
        store.take_lease(sweep.id, "me", 60)
        wall[0] -= 3600
        with pytest.raises(LeaseLost, match="by me, whose lease runs out in 60 s"):
            store.take_lease(sweep.id, "you", 60)
        wall[0] += 50
        store.take_lease(sweep.id, "me", 60)  # who lives renews it
        wall[0] += 59
        with pytest.raises(LeaseLost, match="by me, whose lease runs out in 1 s"):
            store.take_lease(sweep.id, "you", 60)
        wall[0] += 2
        store.take_lease(sweep.id, "you", 60)


def test_who_lost_the_lease_writes_nothing(
    store: Store, url: str, sweep: SweepRecord, writer: Writer
) -> None:
    methods = {name for each in Writer.__mro__[:-1] for name in vars(each) if not name.startswith("_")}
    assert {*WRITES, "delete"} == methods  # it leaves nothing that could be written: last
    trial = new_trial(writer).id
    assert new_trial(writer).id == trial + 1
    writer.start_trial(trial)
    writer.start_stage(writer.add_stage(key="5a", steps=1, values={}, folder="").key)
    request(url, sweep.id, "stop")
    store.release_lease(sweep.id, "me")
    store.take_lease(sweep.id, "you", 3600)
    before = contents(store)
    for write in (*WRITES.values(), lambda writer, _: writer.delete()):
        with pytest.raises(LeaseLost, match="is being run by you: it took over when the lease of me had"):
            write(writer, trial)
    assert contents(store) == before
    for name, write in WRITES.items():
        if not name.startswith("start"):  # after which the others' attempt would be stale
            write(store.writer(sweep.id, "you"), trial)
            assert contents(store) != before, name
            before = contents(store)
    store.take_lease(sweep.id, "you", 3600)
    store.writer(sweep.id, "you").delete()
    assert {name for name, rows in contents(store).items() if rows} <= {"stages"}  # of which no trial is


@FEW
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["take", "expired", "release", "write"])),
        max_size=12,
    )
)
def test_two_drivers_and_one_lease(store: Store, url: str, acts: list[tuple[str, str]]) -> None:
    """Whatever the order, only the one that took the lease last, and did not give it back, writes."""
    sweep, reader = new_sweep(store, f"sweep{next(numbers)}"), Reader(url)
    holder, live, written = None, False, []
    for n, (who, act) in enumerate(acts):
        allowed = holder in (None, who) or not live if act in ("take", "expired") else holder == who
        try:
            if act == "release":
                store.release_lease(sweep.id, who)
            elif act == "write":
                store.writer(sweep.id, who).add_event(who, str(n))
            else:
                store.take_lease(sweep.id, who, 3600 if act == "take" else -1)
        except LeaseLost:
            assert not allowed
            continue
        assert allowed or act == "release"
        if act == "write":
            written.append((who, str(n)))
        elif act == "release":
            holder = None if allowed else holder
        else:
            holder, live = who, act == "take"
    assert [(event.kind, event.text) for event in reader.events(sweep.id)] == written
    reader.close()


def test_one_of_many_gets_a_free_lease(store: Store, sweep: SweepRecord) -> None:
    store.release_lease(sweep.id, "me")
    got: list[str] = []

    def try_it(name: str) -> None:
        try:
            store.take_lease(sweep.id, name, 60)
            got.append(name)
        except LeaseLost:
            pass

    in_threads([partial(try_it, f"driver{n}") for n in range(5)])
    assert len(got) == 1
