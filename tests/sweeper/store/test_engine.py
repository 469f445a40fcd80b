"""Opening a store, on SQLite and on a real PostgreSQL server where one is installed; and what is refused."""

import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from sweeper.store.controls import request
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.records import (
    SweepRecord,
)
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from tests.sweeper import postgres
from tests.sweeper.store.stores import in_threads, new_sweep, new_trial


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


def test_many_turn_the_log_of_a_new_file_on_at_once(tmp_path: Path) -> None:
    """SQLite refuses that to all but one of them at once, whatever they are willing to wait."""
    for attempt in range(10):
        together = threading.Barrier(6)

        def open_it(url: str = f"sqlite:///{tmp_path}/{attempt}.db", ready: Any = together) -> None:
            ready.wait(60)
            Store(url).close()

        in_threads([open_it] * 6)


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
    with pytest.raises(Exception, match=r"read.?only"), reader._source.engine.begin() as connection:
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
