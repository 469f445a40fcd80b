"""What is written of trials: rows, attempts, ends, and what is asked of them."""

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from sweeper.store.controls import request
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import (
    LatestRecord,
    MetricRow,
    NewTrial,
    SweepRecord,
)
from sweeper.store.schema import evaluations, latest, metrics, scores, sweeps, trials
from sweeper.store.store import Store
from sweeper.store.writer import NotItsBest, Writer
from tests.sweeper.store.stores import FEW, WRITES, an_evaluation, contents, new_sweep, new_trial

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


def test_a_score_is_of_the_checkpoint_that_ranks_its_trial(store: Store, writer: Writer) -> None:
    trial = new_trial(writer).id
    rows = [an_evaluation(1.5, 9), an_evaluation(1.6, 10)]
    writer.add_rows(trial, writer.start_trial(trial), [], rows)
    before = contents(store)
    with pytest.raises(NotItsBest, match="its best checkpoint is of step 10; it ranks by step 9"):
        writer.add_scores(trial, 1, [an_evaluation(1.5, 10)])
    assert contents(store) == before


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
    stage = writer.add_stage(key="5a", steps=10, values={"x": 1}, folder="/here")
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
    assert (stored.state, stored.attempt, stored.cpu_seconds, stored.folder) == ("complete", 2, 2.0, "/here")


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


@pytest.mark.parametrize("name", WRITES)
def test_a_trials_version_rises_with_what_is_stored_of_it_and_with_nothing_else(
    name: str, store: Store, url: str, sweep: SweepRecord, writer: Writer
) -> None:
    """To the sweep's, which is above all that were there: who read those knows which trials to read again."""
    trial = new_trial(writer).id
    new_trial(writer), new_trial(writer)
    writer.start_trial(trial)
    writer.start_stage(writer.add_stage(key="5a", steps=1, values={}, folder="").key)
    request(url, sweep.id, "stop")
    before, highest = _versions_and_rows(store), _version(store)
    WRITES[name](writer, trial)
    after = _versions_and_rows(store)
    changed = {id for id, (_, rows) in after.items() if rows != before.get(id, (0, None))[1]}
    risen = {id for id, (version, _) in after.items() if version > highest}
    assert risen == changed
    assert changed or name not in ("add_trial", "add_rows", "add_scores", "end_trial", "hold", "retry")
    assert max(version for version, _ in after.values()) <= _version(store)


def _version(store: Store) -> int:
    with store._engine.connect() as connection:
        return connection.execute(select(sweeps.c.version)).scalar_one()


def _versions_and_rows(store: Store) -> dict[int, tuple[int, str]]:
    """By trial: its version, and all else that is stored of it."""
    found: dict[int, tuple[int, str]] = {}
    with store._engine.connect() as connection:
        for row in connection.execute(select(trials)).mappings():
            theirs = [
                sorted(map(str, connection.execute(select(table).where(table.c.trial == row["id"]))))
                for table in (metrics, latest, evaluations, scores)
            ]
            rest = {key: value for key, value in row.items() if key != "version"}
            found[row["id"]] = row["version"], f"{rest} {theirs}"
    return found
