"""Reading beside a writer: whole transactions, and a version that changes with each."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from sweeper.store.controls import request
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import (
    MetricRow,
    SweepRecord,
)
from sweeper.store.schema import trials
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from tests.sweeper.store.stores import WRITES, in_threads, new_sweep, new_trial


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


class _Failing(sqlite3.Cursor):
    def execute(self, statement: str, *given: Any) -> sqlite3.Cursor:
        if "data_version" in statement:
            raise sqlite3.OperationalError("disk I/O error")
        return super().execute(statement, *given)


class _FailingDisk(sqlite3.Connection):
    def cursor(self, factory: Any = _Failing) -> Any:
        return super().cursor(_Failing)


def test_a_disk_that_fails_is_said_in_a_sentence(url: str, sweep: SweepRecord) -> None:
    """By each of the reader's ways to the database."""
    if not url.startswith("sqlite"):
        pytest.skip("of SQLite alone")
    with closing(Reader(url, factory=_FailingDisk)) as reader:
        assert reader.trials(sweep.id) == []
        with pytest.raises(StoreError, match="cannot be used: disk I/O error"):
            reader.version()


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


def test_what_is_read_at_one_moment_is_of_one(reader: Reader, sweep: SweepRecord, writer: Writer) -> None:
    new_trial(writer)
    number = select(func.count()).select_from(trials)
    with reader.one_moment() as connection:
        assert connection.scalar(number) == 1
        new_trial(writer)
        assert connection.scalar(number) == 1
    assert len(reader.trials(sweep.id)) == 2


def test_a_word_that_is_not_utf_8_is_refused_in_words(store: Store, reader: Reader) -> None:
    """What a command line hands over of such bytes: as a name, and as a folder that is to be kept."""
    with pytest.raises(StoreError, match="is no text: no database can hold it"):
        reader.sweep_called("\udcff")
    with pytest.raises(StoreError, match="is no text"):
        new_sweep(store, "\udcff")


def test_who_asks_for_more_than_there_can_be_is_given_all(
    writer: Writer, reader: Reader, sweep: SweepRecord
) -> None:
    """A pruner asks so for whole curves, an export for all events: beyond a PostgreSQL integer."""
    trial = new_trial(writer).id
    writer.add_rows(trial, writer.start_trial(trial), [MetricRow("loss", i, 1.0) for i in (1, 2, 3)])
    writer.add_event("kind", "about it", trial)
    assert reader.curve([trial], "loss", points=1 << 40) == {trial: [(1, 1.0), (2, 1.0), (3, 1.0)]}
    assert reader.curve([], "loss", points=1 << 40) == {}
    for of in (None, trial):
        assert reader.events(sweep.id, of, limit=1 << 40)[-1].text == "about it"
