"""The store, on SQLite and on a real PostgreSQL server where one is installed."""

import itertools
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url
from sqlalchemy.exc import IntegrityError

from sweeper.store.controls import request
from sweeper.store.queries import Reader
from sweeper.store.records import (
    ForeignTrial,
    LatestRecord,
    MetricRow,
    NewTrial,
    SweepRecord,
    TrialRecord,
)
from sweeper.store.store import LeaseLost, Store, StoreError, Writer
from tests.sweeper import postgres
from trainer.evaluation.record import Evaluation

FEW = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
numbers = itertools.count()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    yield store
    store.close()


@pytest.fixture
def reader(store: Store, url: str) -> Iterator[Reader]:
    reader = Reader(url)
    yield reader
    reader.close()


@pytest.fixture
def sweep(store: Store) -> SweepRecord:
    sweep = new_sweep(store, "first")
    store.take_lease(sweep.id, "me", 3600)
    return sweep


@pytest.fixture
def writer(store: Store, sweep: SweepRecord) -> Writer:
    return store.writer(sweep.id, "me")


def new_sweep(store: Store, name: str) -> SweepRecord:
    return store.create_sweep(
        name=name, spec_text="a: 1\n", spec={"a": [1, 2.5, None]}, code_version="1", folder="f"
    )


def new_trial(writer: Writer, **more: Any) -> TrialRecord:
    configuration = writer.add_configuration("c0ffee", {"finetune.schedule.mu": 0.25, "model.size": "nano"})
    given = {"role": "search", "seed": 0, "steps": 100, "params": {"finetune.schedule.mu": 0.25}}
    given |= {"configuration": configuration, "distributions": {}, "system_attrs": {}}
    return writer.add_trial(**{**given, **more})


def an_evaluation(nelbo: float, step: int, split: str = "valid") -> Evaluation:
    return Evaluation(split, step, nelbo, 0.1, {"text": "t"}, {"draws": 4}, [nelbo * 3, nelbo * 5], [3, 5])


# --- opening ------------------------------------------------------------------------------------


def test_what_is_written_is_read_again(
    store: Store, reader: Reader, sweep: SweepRecord, writer: Writer
) -> None:
    trial = new_trial(writer, number=3, stage="5a", distributions={"a": "{}"})
    writer.add_stage(key="5a", steps=10, values={"x": 1}, folder="stages/5a")
    stored = reader.sweep("first")
    assert stored is not None
    assert stored._replace(lease_holder=None, lease_until=None) == sweep
    assert reader.sweeps() == [stored]
    assert reader.trials(sweep.id) == [trial] == [reader.trial(trial.id)]
    assert reader.configurations(sweep.id) == {
        trial.configuration: {"finetune.schedule.mu": 0.25, "model.size": "nano"}
    }
    assert reader.configuration_hashes(sweep.id) == {"c0ffee": trial.configuration}
    assert reader.stages(["5a", "none"]) == [reader.stage("5a")]
    assert reader.stage("none") is None
    assert reader.sweep("none") is None
    assert reader.trial(999) is None


def test_opening_again_finds_what_was_there(url: str, store: Store, sweep: SweepRecord) -> None:
    again = Store(url)
    with pytest.raises(StoreError, match="there is a sweep named first"):
        new_sweep(again, "first")
    again.close()


def test_many_open_a_new_database_at_once(url: str) -> None:
    def open_and_write(name: str) -> None:
        store = Store(url)
        new_sweep(store, name)
        store.close()

    in_threads([partial(open_and_write, f"sweep{n}") for n in range(6)])
    reader = Reader(url)
    assert {sweep.name for sweep in reader.sweeps()} == {f"sweep{n}" for n in range(6)}
    reader.close()


def test_sqlite_is_durable(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path}/a.db")
    with store._engine.connect() as connection:
        pragma = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    store.close()
    assert pragma == {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000, "foreign_keys": 1}


def test_a_newer_schema_is_refused(url: str) -> None:
    store = Store(url)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE meta SET value = '999' WHERE key = 'schema_version'")
    store.close()
    for opens in (Store, Reader):
        with pytest.raises(StoreError, match=r"newer version of this program.*999"):
            opens(url)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE meta (a, b)")
    for opens in (Store, Reader):
        with pytest.raises(StoreError, match="a table named meta that is not this program's"):
            opens(f"sqlite:///{tmp_path}/other.db")


def test_reading_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"):
        Reader(f"sqlite:///{tmp_path}/folder/none.db")
    with pytest.raises(StoreError, match="there is no database"):
        request(f"sqlite:///{tmp_path}/folder/none.db", 1, "stop")
    assert list(tmp_path.iterdir()) == []


def test_reading_cannot_write(store: Store, reader: Reader, sweep: SweepRecord) -> None:
    with pytest.raises(Exception, match=r"read.?only"), reader._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sweeps SET state = 'failed'")


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sweeps.db", "'sweeps.db' is not a database URL"),
        ("me:hunter2@host", "this is not a database URL"),
        ("mysql://me:hunter2@host/x", "mysql databases are not supported"),
        ("postgresql+nodriver://me:hunter2@host/x", "not a known database driver"),
        ("postgresql+pg8000://me:hunter2@host/x", "needs the Python package pg8000"),
        ("sqlite://", "would forget the sweep"),
        ("sqlite:///:memory:", "would forget the sweep"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/x", "cannot be used"),
        ("postgresql://me:hunter2@host:port/x", "not a database URL"),
    ],
)
def test_a_bad_url_is_a_sentence_without_the_password(url: str, sentence: str) -> None:
    for opens in (Store, Reader):
        with pytest.raises(StoreError, match=sentence) as caught:
            opens(url)
        assert "hunter2" not in repr(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None or caught.value.__suppress_context__
        assert "\n" not in str(caught.value)


def test_a_wrong_password_is_a_sentence_without_it(server: str) -> None:
    wrong = make_url(server).set(password="hunter2").render_as_string(hide_password=False)
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        Store(wrong)
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StoreError, match="there are no sweeps in postgresql") as caught:
        Reader(server)
    assert postgres.PASSWORD not in str(caught.value)


def test_files_that_are_no_store_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is a letter, not a database, and it is long enough to be sure")
    (tmp_path / "empty.db").touch()
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="not an SQLite database"):
        Reader(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(StoreError, match="not an SQLite database"):
        Store(f"sqlite:///{tmp_path}/text.db")
    with pytest.raises(StoreError, match="there are no sweeps in"):
        Reader(f"sqlite:///{tmp_path}/empty.db")
    with pytest.raises(StoreError, match="cannot make the folder"):
        Store(f"sqlite:///{tmp_path}/file/sweeps.db")
    with pytest.raises(StoreError, match="cannot be used"):
        Store(f"sqlite:///{tmp_path}")


# --- the lease ----------------------------------------------------------------------------------


def test_a_lease_keeps_others_off_until_it_runs_out(store: Store, sweep: SweepRecord) -> None:
    with pytest.raises(LeaseLost, match=r"sweep first is being run by me, whose lease runs out in 3[56]"):
        store.take_lease(sweep.id, "you", 10)
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


WRITES: dict[str, Callable[[Writer, int], Any]] = {
    "set_sweep_state": lambda w, t: w.set_sweep_state("failed"),
    "add_configuration": lambda w, t: w.add_configuration("new", {}),
    "extend": lambda w, t: w.extend(40, 1),
    "add_trial": lambda w, t: new_trial(w),
    "add_trials": lambda w, t: w.add_trials([NewTrial(1, "confirm", 5, 100, {}, {}, {})]),
    "start_trial": lambda w, t: w.start_trial(t),
    "add_rows": lambda w, t: w.add_rows(
        t, 1, [MetricRow("lr", 9, 1.0)], [an_evaluation(1.0, 9)], state="pruned"
    ),
    "end_trial": lambda w, t: w.end_trial(t, 1, "complete"),
    "add_foreign_trials": lambda w, t: w.add_foreign_trials([ForeignTrial("other", 1, {}, [1.0])]),
    "change_spec": lambda w, t: w.change_spec("keep", {"best": 3}),
    "add_stage": lambda w, t: w.add_stage(key="new", steps=1, values={}, folder=""),
    "start_stage": lambda w, t: w.start_stage("5a"),
    "charge_stage": lambda w, t: w.charge_stage("5a", 1, cpu_seconds=1.0, gpu_seconds=0.0),
    "end_stage": lambda w, t: w.end_stage("5a", 1, "complete"),
    "add_event": lambda w, t: w.add_event("kind", "text"),
    "finish_control": lambda w, t: w.finish_control(1),
    "hold": lambda w, t: w.hold(t + 1, True),
    "renew_lease": lambda w, t: w.renew_lease(7200),
    "add_driver": lambda w, t: w.add_driver(),
    "spend": lambda w, t: w.spend(1, seconds=1.0, gpu_seconds=2.0, tokens=3),
}


def test_who_lost_the_lease_writes_nothing(
    store: Store, url: str, sweep: SweepRecord, writer: Writer
) -> None:
    methods = {name for each in Writer.__mro__[:-1] for name in vars(each) if not name.startswith("_")}
    assert set(WRITES) == methods
    trial = new_trial(writer).id
    assert new_trial(writer).id == trial + 1
    writer.start_trial(trial)
    writer.start_stage(writer.add_stage(key="5a", steps=1, values={}, folder="").key)
    request(url, sweep.id, "stop")
    store.release_lease(sweep.id, "me")
    store.take_lease(sweep.id, "you", 3600)
    before = contents(store)
    for write in WRITES.values():
        with pytest.raises(LeaseLost, match="is being run by you: it took over when the lease of me had"):
            write(writer, trial)
    assert contents(store) == before
    for name, write in WRITES.items():
        if not name.startswith("start"):  # after which the others' attempt would be stale
            write(store.writer(sweep.id, "you"), trial)
            assert contents(store) != before, name
            before = contents(store)


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


# --- rows ---------------------------------------------------------------------------------------

names = st.sampled_from(["val_nelbo", "train_loss", "unheard_of"])
row_lists = st.dictionaries(
    st.tuples(names, st.integers(1, 30)),
    st.sampled_from([-1.5, 0.0, 0.1, 2.0, 7.25]),
    min_size=1,
    max_size=20,
)


@FEW
@given(row_lists, st.data())
def test_any_interleaving_of_batches_gives_the_same_tables(
    reader: Reader,
    sweep: SweepRecord,
    writer: Writer,
    rows: dict[tuple[str, int], float],
    data: st.DataObject,
) -> None:
    """Duplicated, overlapping and out of order: as if each row had come once, in order."""
    everything = [MetricRow(name, step, value) for (name, step), value in sorted(rows.items())]
    extra = data.draw(st.lists(st.sampled_from(everything), max_size=10))
    shuffled = data.draw(st.permutations([*everything, *extra]))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(shuffled)), max_size=5)))
    one, many = new_trial(writer).id, new_trial(writer).id
    writer.add_rows(one, writer.start_trial(one), everything)
    attempt = writer.start_trial(many)
    for first, last in itertools.pairwise([0, *cuts, len(shuffled)]):
        if data.draw(st.booleans()):
            attempt = writer.start_trial(many)
        assert writer.add_rows(many, attempt, shuffled[first:last])
        assert not writer.add_rows(many, attempt - 1, [MetricRow("stale", 99, 0.0)])

    def tables(trial: int) -> Any:
        latest = [record._replace(trial=0) for record in reader.latest(sweep.id) if record.trial == trial]
        curves = {name: reader.curve([trial], name)[trial] for name in reader.metric_names(trial)}
        return sorted(latest), curves, reader.last_step(trial)

    assert tables(many) == tables(one)
    assert tables(one)[1] == {
        name: [(row.step, row.value) for row in everything if row.name == name]
        for name in {row.name for row in everything}
    }


def test_latest_and_best_follow_the_metrics_direction(
    reader: Reader, sweep: SweepRecord, writer: Writer
) -> None:
    trial = new_trial(writer).id
    attempt = writer.start_trial(trial)
    assert reader.last_step(trial) == 0
    for step, value in enumerate([5.0, 4.0, 4.0, 6.0], start=1):
        writer.add_rows(trial, attempt, [MetricRow("val_nelbo", step, value), MetricRow("lr", step, value)])
    assert sorted(reader.latest(sweep.id)) == [
        LatestRecord(trial, "lr", 4, 6.0, 6.0, 4),
        LatestRecord(trial, "val_nelbo", 4, 6.0, 4.0, 2),
    ]
    assert reader.metric_names(trial) == ["lr", "val_nelbo"]
    assert reader.last_step(trial) == 4


def test_a_row_once_written_stays(reader: Reader, sweep: SweepRecord, writer: Writer) -> None:
    """No curve mixes two histories, and `latest` says what the curve says."""
    trial = new_trial(writer).id
    attempt = writer.start_trial(trial)
    writer.add_rows(trial, attempt, [MetricRow("val_nelbo", 1, 5.0)])
    writer.add_rows(trial, attempt, [MetricRow("val_nelbo", 1, 3.0), MetricRow("val_nelbo", 1, 2.0)])
    assert reader.curve([trial], "val_nelbo") == {trial: [(1, 5.0)]}
    assert reader.latest(sweep.id) == [LatestRecord(trial, "val_nelbo", 1, 5.0, 5.0, 1)]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(store: Store, writer: Writer, value: float) -> None:
    trial = new_trial(writer).id
    attempt = writer.start_trial(trial)
    before = contents(store)
    with pytest.raises(ValueError, match="train_loss at step 2 is"):
        writer.add_rows(trial, attempt, [MetricRow("lr", 2, 1.0), MetricRow("train_loss", 2, value)])
    with pytest.raises(ValueError, match="not finite"):
        writer.add_rows(trial, attempt, [MetricRow("lr", 2, 1.0)], [an_evaluation(value, 2)])
    assert contents(store) == before


def test_the_best_evaluation_is_kept(reader: Reader, sweep: SweepRecord, writer: Writer) -> None:
    trial = new_trial(writer).id
    attempt = writer.start_trial(trial)
    for step, nelbo in enumerate([5.0, 4.0, 4.0, 4.5], start=1):
        writer.add_rows(trial, attempt, [], [an_evaluation(nelbo, step), an_evaluation(nelbo, step, "test")])
    (valid,), (test,) = reader.evaluations(sweep.id, "valid"), reader.evaluations(sweep.id, "test")
    assert (valid.step, valid.nelbo, valid.nats, valid.tokens) == (2, 4.0, [12.0, 20.0], [3, 5])
    assert (test.step, test.nelbo) == (4, 4.5)
    assert valid.identity == {"text": "t"}


def test_a_long_curve_is_thinned(reader: Reader, writer: Writer) -> None:
    long, short = new_trial(writer).id, new_trial(writer).id
    writer.add_rows(long, writer.start_trial(long), [MetricRow("lr", n, float(n)) for n in range(1, 1004)])
    writer.add_rows(short, writer.start_trial(short), [MetricRow("lr", n, float(n)) for n in range(1, 4)])
    curves = reader.curve([long, short, 999], "lr", points=100)
    assert len(curves[long]) in range(90, 103)
    assert (curves[long][0], curves[long][-1]) == ((1, 1.0), (1003, 1003.0))
    assert curves[short] == [(1, 1.0), (2, 2.0), (3, 3.0)]
    assert curves[999] == []


# --- attempts and ends --------------------------------------------------------------------------


def test_a_stale_attempt_writes_nothing(store: Store, reader: Reader, writer: Writer) -> None:
    trial = new_trial(writer).id
    first = writer.start_trial(trial, "host:1")
    second = writer.start_trial(trial, "host:2")
    assert (first, second) == (1, 2)
    before = contents(store)
    assert not writer.add_rows(
        trial, first, [MetricRow("lr", 1, 1.0)], [an_evaluation(1.0, 1)], state="pruned"
    )
    assert not writer.end_trial(trial, first, "failed", error="late", cpu_seconds=9.0)
    assert contents(store) == before
    assert writer.end_trial(trial, second, "queued", cpu_seconds=1.5)
    before = contents(store)
    assert not writer.add_rows(trial, second, [MetricRow("lr", 1, 1.0)])  # handed back: nobody runs it
    assert not writer.end_trial(trial, second, "complete")
    assert contents(store) == before
    third = writer.start_trial(trial, "host:3")
    assert writer.end_trial(trial, third, "complete", cpu_seconds=2.0, gpu_seconds=4.0, tokens=7)
    assert not writer.end_trial(trial, third, "complete", cpu_seconds=2.0)  # a trial ends once
    stored = reader.trial(trial)
    assert stored is not None
    assert (stored.state, stored.attempt, stored.cpu_seconds, stored.tokens) == ("complete", 3, 3.5, 7)
    with pytest.raises(StoreError, match="is complete and cannot be started"):
        writer.start_trial(trial)
    with pytest.raises(StoreError, match="there is no trial 999"):
        writer.start_trial(999)


def test_the_pruners_word_is_one_transaction_with_its_rows(reader: Reader, writer: Writer) -> None:
    trial = new_trial(writer).id
    attempt = writer.start_trial(trial)
    rung = {"completed_rung_0": 4.0}
    row = MetricRow("val_nelbo", 50, 4.0)
    assert writer.add_rows(trial, attempt, [row], system_attrs=rung, state="pruned", reason="rung 0")
    assert not writer.add_rows(trial, attempt, [MetricRow("val_nelbo", 60, 3.0)])
    assert writer.end_trial(trial, attempt, "complete", cpu_seconds=1.0)
    stored = reader.trial(trial)
    assert stored is not None
    assert (stored.state, stored.reason, stored.system_attrs) == ("pruned", "rung 0", rung)
    assert stored.cpu_seconds == 1.0
    assert stored.ended is not None


def test_an_error_may_hold_anything(reader: Reader, writer: Writer) -> None:
    trial = new_trial(writer).id
    writer.end_trial(trial, writer.start_trial(trial), "failed", error="a\0b \ud800 Größe")
    stored = reader.trial(trial)
    assert stored is not None
    assert stored.error == "ab ? Größe"


def test_a_stage_is_made_once_and_fenced(store: Store, reader: Reader, writer: Writer) -> None:
    other = new_sweep(store, "second")
    store.take_lease(other.id, "you", 60)
    stage = writer.add_stage(key="5a", steps=10, values={"x": 1}, folder="here")
    assert (
        store.writer(other.id, "you").add_stage(key="5a", steps=10, values={"x": 1}, folder="there") == stage
    )
    first, second = writer.start_stage("5a"), writer.start_stage("5a")
    assert not writer.charge_stage("5a", first, cpu_seconds=1.0, gpu_seconds=0.0)
    assert writer.charge_stage("5a", second, cpu_seconds=0.5, gpu_seconds=0.0)
    assert not writer.end_stage("5a", first, "complete", cpu_seconds=1.0)
    assert writer.end_stage("5a", second, "complete", cpu_seconds=1.5)
    assert not writer.end_stage("5a", second, "failed")
    stored = reader.stage("5a")
    assert stored is not None
    assert (stored.state, stored.attempt, stored.cpu_seconds, stored.folder) == ("complete", 2, 2.0, "here")


def test_repeats_are_not_counted(reader: Reader, sweep: SweepRecord, writer: Writer) -> None:
    first = new_trial(writer, number=0)
    writer.end_trial(first.id, writer.start_trial(first.id), "complete")
    repeat = new_trial(writer, number=1, state="complete", repeat_of=first.id)
    assert reader.trials(sweep.id)[1] == repeat
    assert reader.trial_states(sweep.id) == {"complete": 1}


def test_events_are_the_newest_in_order(reader: Reader, sweep: SweepRecord, writer: Writer) -> None:
    trial = new_trial(writer).id
    for n in range(5):
        writer.add_event("kind", str(n), trial if n % 2 else None)
    assert [event.text for event in reader.events(sweep.id, limit=3)] == ["2", "3", "4"]
    assert [event.text for event in reader.events(sweep.id, trial)] == ["1", "3"]


def test_anyone_may_ask_for_a_stop(url: str, reader: Reader, sweep: SweepRecord, writer: Writer) -> None:
    trial = new_trial(writer).id
    request(url, sweep.id, "stop")
    request(url, sweep.id, "stop", trial)
    first, second = reader.controls(sweep.id)
    assert (first.verb, first.trial, second.trial, second.done) == ("stop", None, trial, None)
    writer.finish_control(first.id)
    assert [control.id for control in reader.controls(sweep.id)] == [second.id]
    assert len(reader.controls(sweep.id, undone=False)) == 2
    for bad, sentence in (
        ((99, "stop"), "no sweep 99"),
        ((sweep.id, "stop", 99), "no trial 99"),
        ((1, "go"), "'go'"),
    ):
        with pytest.raises(StoreError, match=sentence):
            request(url, *bad)


def test_an_extension_is_written_with_the_request_that_is_done_by_it(
    store: Store, url: str, reader: Reader, sweep: SweepRecord, writer: Writer
) -> None:
    request(url, sweep.id, "extend +20")
    (control,) = reader.controls(sweep.id)
    assert control.verb == "extend +20"
    writer.extend(40, control.id)
    now = reader.sweep("first")
    assert now is not None
    assert now.spec == {**sweep.spec, "search": {"trials": 40}}
    assert reader.controls(sweep.id) == []


def test_all_of_several_trials_are_added_or_none(reader: Reader, writer: Writer) -> None:
    one = NewTrial(new_trial(writer).configuration, "confirm", 5, 100, {}, {}, {})
    assert [each.seed for each in writer.add_trials([one, one._replace(seed=6)])] == [5, 6]
    before = reader.trials(1)
    with pytest.raises(IntegrityError):
        writer.add_trials([one._replace(seed=7, number=3), one._replace(seed=8, number=3)])
    assert reader.trials(1) == before


# --- reading beside writing ---------------------------------------------------------------------


def test_the_version_changes_with_every_commit_and_only_then(
    store: Store, url: str, reader: Reader, writer: Writer
) -> None:
    trial = new_trial(writer).id
    writer.start_trial(trial)
    writer.start_stage(writer.add_stage(key="5a", steps=1, values={}, folder="").key)
    seen = {reader.version()}
    assert reader.version() in seen
    quiet = ("start_trial", "start_stage", "end_trial", "finish_control")  # nothing to write by their turn
    for write in (write for name, write in WRITES.items() if name not in quiet):
        write(writer, trial)
        assert reader.version() not in seen
        seen.add(version := reader.version())
        reader.trials(1)
        assert reader.version() == version
    request(url, 1, "stop")
    assert reader.version() not in seen


def test_a_database_made_anew_is_seen(tmp_path: Path) -> None:
    url, file = f"sqlite:///{tmp_path}/a.db", tmp_path / "a.db"
    store = Store(url)
    new_sweep(store, "old")
    reader = Reader(url)
    version = reader.version()
    store.close()
    for part in tmp_path.iterdir():
        part.unlink()
    with pytest.raises(StoreError, match="is gone"):
        reader.version()
    (tmp_path / "keeps the inode").touch()
    store = Store(url)
    new_sweep(store, "new")
    assert file.exists()
    assert reader.version() != version
    assert [sweep.name for sweep in reader.sweeps()] == ["new"]
    reader.close()
    store.close()


def test_readers_in_threads_see_whole_transactions(
    reader: Reader, sweep: SweepRecord, writer: Writer
) -> None:
    trial = new_trial(writer).id
    attempt, done, wrong = writer.start_trial(trial), threading.Event(), []

    def read() -> None:
        while not done.is_set():
            steps = {record.step for record in reader.latest(sweep.id)}
            wrong.extend([steps] if len(steps) > 1 else [])
            reader.version()

    def write() -> None:
        for step in range(1, 41):
            writer.add_rows(
                trial, attempt, [MetricRow(name, step, 1.0) for name in ("lr", "train_loss", "tokens")]
            )
        done.set()

    in_threads([read, read, write])
    assert wrong == []
    assert reader.last_step(trial) == 40


CHILD = """
import sys
from sweeper.store.records import MetricRow
from sweeper.store.store import Store
store = Store(sys.argv[1])
writer = store.writer(1, "me")
for step in range(1, 100_000):
    writer.add_rows(1, 1, [MetricRow(name, step, 1.0) for name in ("lr", "tokens", "grad_norm")])
    print(step, flush=True)
"""


def test_a_killed_writer_leaves_whole_transactions(
    url: str, store: Store, reader: Reader, writer: Writer
) -> None:
    trial = new_trial(writer).id
    assert (trial, writer.start_trial(trial)) == (1, 1)
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url], stdout=subprocess.PIPE, text=True, cwd=os.getcwd()
    )
    assert child.stdout is not None
    seen = [int(child.stdout.readline()) for _ in range(20)]
    child.send_signal(signal.SIGKILL)
    seen += [int(line) for line in child.stdout]
    child.wait()
    curves = [reader.curve([trial], name)[trial] for name in ("lr", "tokens", "grad_norm")]
    assert curves[0] == curves[1] == curves[2]
    assert [step for step, _ in curves[0]] == list(range(1, len(curves[0]) + 1))
    assert len(curves[0]) >= seen[-1]  # what was said to be written is there


def contents(store: Store) -> dict[str, list[Any]]:
    """Every row of every table."""
    tables = [
        "sweeps",
        "configurations",
        "trials",
        "stages",
        "metrics",
        "latest",
        "evaluations",
        "events",
        "controls",
        "foreign_trials",
        "drivers",
    ]
    with store._engine.connect() as connection:
        return {
            table: sorted(map(str, connection.exec_driver_sql(f"SELECT * FROM {table}").all()))
            for table in tables
        }


def in_threads(jobs: list[Callable[[], None]]) -> None:
    """Runs them at once; raises what any of them raised."""
    errors: list[BaseException] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
