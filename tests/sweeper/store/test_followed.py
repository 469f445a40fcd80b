"""A sweep in memory is what the store says of it, however often it was brought up to date."""

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.store.engine import StoreError
from sweeper.store.followed import Followed
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow, SweepRecord
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from tests.sweeper.store.stores import WRITES, an_evaluation, new_sweep, new_trial


def same(followed: Followed, reader: Reader) -> None:
    """As the Reader's plain queries have it."""
    sweep = reader.sweep(followed.name)
    assert sweep == followed.sweep
    assert list(followed.trials.values()) == reader.trials(sweep.id)
    assert followed.values == reader.configurations(sweep.id)
    latest = [record for each in followed.latest.values() for record in each.records().values()]
    assert sorted(latest) == sorted(reader.latest(sweep.id))
    for split, mine in followed.evaluations.items():
        found = [each._replace(nats=list(each.nats)) for _, each in sorted(mine.items())]
        assert found == reader.evaluations(sweep.id, split)
    assert [each._replace(nats=list(each.nats)) for each in followed.all_scores()] == reader.scores(sweep.id)


def test_after_each_write_it_is_what_the_store_says(
    reader: Reader, sweep: SweepRecord, writer: Writer
) -> None:
    followed = Followed(reader, sweep.name)
    assert followed.refresh() is None
    trial = new_trial(writer).id
    other = new_trial(writer).id
    writer.start_stage(writer.add_stage(key="5a", steps=1, values={}, folder="").key)
    assert followed.refresh() == {trial, other}
    assert followed.refresh() == set()
    for write in WRITES.values():
        write(writer, trial)
        followed.refresh()
        same(followed, reader)
    assert followed.latest and followed.evaluations["valid"] and followed.scores  # noqa: PT018


def test_only_what_has_changed_is_read(reader: Reader, sweep: SweepRecord, writer: Writer) -> None:
    ran, waits = new_trial(writer).id, new_trial(writer).id
    for trial in (ran, waits):
        rows = [MetricRow("lr", 1, 1.0), MetricRow("val_nelbo", 1, 2.0)]
        writer.add_rows(trial, writer.start_trial(trial), rows, [an_evaluation(2.0, 1)])
    followed = Followed(reader, sweep.name)
    followed.refresh()
    kept = followed.trials[waits], followed.latest[waits], followed.evaluations["valid"][waits]
    writer.add_rows(ran, 1, [MetricRow("lr", 2, 0.5)], [an_evaluation(1.0, 2, "test")])
    assert followed.refresh() == {ran}
    now = followed.trials[waits], followed.latest[waits], followed.evaluations["valid"][waits]
    assert all(a is b for a, b in zip(kept, now, strict=True))
    same(followed, reader)


def test_sweeps_do_not_mix(store: Store, reader: Reader, sweep: SweepRecord, writer: Writer) -> None:
    second = new_sweep(store, "second")
    store.take_lease(second.id, "me", 3600)
    followed = Followed(reader, "second")
    followed.refresh()
    new_trial(writer)
    assert followed.refresh() == set()
    mine = new_trial(store.writer(second.id, "me")).id
    assert followed.refresh() == {mine}
    same(followed, reader)


def test_a_sweep_that_is_gone_is_said_to_be(reader: Reader) -> None:
    with pytest.raises(StoreError, match="there is no sweep 'nothing' in this store any more"):
        Followed(reader, "nothing").refresh()


@pytest.mark.parametrize("further", [0, 1, 2])
def test_an_older_copy_in_its_place_is_read_from_its_beginning(tmp_path: Path, further: int) -> None:
    """Though it has gone on since: to a version below, equal to or above the one that was read."""
    file, copy = tmp_path / "sweeps.db", tmp_path / "copy.db"
    with closing(Store(f"sqlite:///{file}")) as store:
        sweep = new_sweep(store, "first")
        store.take_lease(sweep.id, "me", 3600)
        writer = store.writer(sweep.id, "me")
        trial = new_trial(writer).id
    shutil.copy(file, copy)
    with closing(Store(f"sqlite:///{file}")) as store:
        store.writer(sweep.id, "me").start_trial(trial, "one")
    with closing(Reader(f"sqlite:///{file}")) as reader:
        followed = Followed(reader, "first")
        reader.version()
        followed.refresh()
        assert followed.trials[trial].worker == "one"
        file.unlink()
        shutil.copy(copy, file)
        with closing(Store(f"sqlite:///{file}")) as store:
            for _ in range(further):
                new_trial(store.writer(sweep.id, "me"))
        reader.version()
        assert followed.refresh() is None
        assert followed.trials[trial].worker == ""
        same(followed, reader)
