"""A sweep in memory is what the store says of it, however often it was brought up to date."""

import shutil
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import pytest

from sweeper.store.engine import StoreError
from sweeper.store.followed import MANY, Followed, WhenAsked, ahead, glance
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


@pytest.mark.parametrize("told", [True, False])
def test_a_glance_has_what_is_asked_for(
    told: bool, reader: Reader, sweep: SweepRecord, writer: Writer
) -> None:
    """Of what it was told of, or of all; what is not there is missing."""
    ran, waits = new_trial(writer).id, new_trial(writer).id
    rows = [MetricRow("lr", 1, 1.0), MetricRow("val_nelbo", 1, 2.0), MetricRow("val_nelbo", 2, 3.0)]
    looks = [an_evaluation(2.0, 1), an_evaluation(2.5, 1, "test")]
    writer.add_rows(ran, writer.start_trial(ran), rows, looks)
    whole = Followed(reader, sweep.name)
    whole.refresh()
    with glance(reader, sweep.name, {"lr", "val_nelbo"}) as now:
        assert now.refresh() is None
        unread = {"params": {}, "distributions": {}, "system_attrs": {}}
        assert list(now.trials.values()) == [each._replace(**unread) for each in whole.trials.values()]
        assert now.latest[ran].best_of("val_nelbo") == whole.latest[ran].best_of("val_nelbo")
        assert now.evaluations["valid"] == whole.evaluations["valid"]
        lazily = now.values, now.all_latest, now.evaluations["test"]
        for mine, full in zip(lazily, (whole.values, whole.latest, whole.evaluations["test"]), strict=True):
            if told:
                ahead(mine, [*full, waits])
            assert all(mine[each] == full[each] for each in full)
            assert mine.get(waits) == full.get(waits)
            assert dict(mine) == full


def test_what_is_asked_for_is_read_once_and_all_where_that_is_much() -> None:
    asked: list[list[int] | None] = []

    def read(keys: Collection[int] | None) -> dict[int, str]:
        asked.append(None if keys is None else sorted(keys))
        return {key: str(key) for key in (range(2 * MANY) if keys is None else keys) if key % 2}

    found = WhenAsked(read)
    for keys in ([3, 4], [3, 4, 5], [3]):
        ahead(found, keys)
    assert (found[3], found.get(4), found[5], asked) == ("3", None, "5", [[3, 4], [5]])
    assert (found[7], found.get(8), len(found), asked[2:]) == ("7", None, MANY, [None])
    ahead(found, range(2 * MANY))
    assert len(asked) == 3
    much = WhenAsked(read)
    ahead(much, range(MANY + 1))
    assert (much[2 * MANY - 1], asked[3:]) == (str(2 * MANY - 1), [None])


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
