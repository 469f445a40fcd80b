"""SQLite's own ways: stores that nobody can write, locks that others hold, and what stands in the log."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.store import sqlite_files
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.sqlite_files import has_log, log_of
from sweeper.store.store import Store
from tests.sweeper import filled, schema_1
from tests.sweeper.store.stores import new_sweep

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users of this machine can reach."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def by_who_can_only_read(folder: Path, work: Callable[[], None]) -> None:
    """In a child; as somebody else where this is root, who can write everywhere."""
    for each in folder.glob("*-*"):  # what those who read leave behind
        if not each.stat().st_size or each.name.endswith("-shm"):
            each.unlink()
    folder.chmod(0o555)
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setuid(NOBODY)
            work()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.long
def test_every_command_that_reads_can_read_where_nothing_can_be_written(folder: Path) -> None:
    url = f"sqlite:///{folder}/s.db"
    filled.fill(url, finished=True)
    commands = ["status", "leaderboard", "show", "profile", "compare", "stages", "export", "list", "backup"]
    more = {"show": ["1"], "compare": ["1", "4"], "profile": ["finetune.block_size"]}
    no_sweep = ("stages", "list", "backup")

    def calls(out: Path) -> Iterator[list[str]]:
        for each in commands:
            name = [] if each in no_sweep else ["schedules"]
            where = {"export": ["--out", str(out / "tables")], "backup": [str(out / "copy.db")]}
            yield [each, *name, *more.get(each, []), *where.get(each, []), "--db", url]

    with tempfile.TemporaryDirectory() as writable:
        expected = [CliRunner().invoke(app, call).stdout for call in calls(Path(writable))]
    assert all(expected)

    def work() -> None:
        with tempfile.TemporaryDirectory() as out:
            for call, before in zip(calls(Path(out)), expected, strict=True):
                done = CliRunner().invoke(app, call)
                assert done.exit_code == 0, (call, done.stderr)
                said, expected_of_it = done.stdout, before.replace(writable, out)
                if call[0] == "status":  # which counts what readers leave behind, where they can
                    said, expected_of_it = (each.partition("disk:")[0] for each in (said, expected_of_it))
                assert said == expected_of_it, call

    by_who_can_only_read(folder, work)
    assert [each.name for each in folder.iterdir()] == ["s.db"]


@pytest.mark.parametrize("older", [False, True])
def test_a_store_can_be_read_where_nothing_can_be_written(folder: Path, older: bool) -> None:
    url = f"sqlite:///{folder}/s.db"
    if older:
        schema_1.make(url, foreign=True)
    else:
        with closing(Store(url)) as store:
            new_sweep(store, "first")

    def work() -> None:
        with closing(Reader(url)) as reader:
            assert [sweep.name for sweep in reader.sweeps()] == ["first"]
            assert reader.version() == reader.version()

    work()  # its imports: somebody else may not be allowed to read this Python's library
    by_who_can_only_read(folder, work)


def test_what_stands_in_the_log_alone_is_not_left_out_in_silence(folder: Path) -> None:
    file, copy = folder / "s.db", folder / "copy" / "s.db"
    with closing(Store(f"sqlite:///{file}")) as store:
        new_sweep(store, "first")
        copy.parent.mkdir()
        for each in (file, log_of(file)):  # as after a kill
            shutil.copy(each, copy.parent)
    assert has_log(copy)

    def work() -> None:
        with pytest.raises(StoreError, match=r"s\.db-wal, which cannot be read .*: copy both files"):
            Reader(f"sqlite:///{copy}")

    by_who_can_only_read(copy.parent, work)
    copy.parent.chmod(0o755)
    with closing(Reader(f"sqlite:///{copy}")) as reader:
        assert [sweep.name for sweep in reader.sweeps()] == ["first"]


def test_a_closed_store_is_one_file_whoever_reads_it(tmp_path: Path) -> None:
    file, copy = tmp_path / "s.db", tmp_path / "copy.db"
    store = Store(f"sqlite:///{file}")
    with closing(Reader(f"sqlite:///{file}")) as reader:
        before = reader.version()
        new_sweep(store, "first")
        store.checkpoint()
        shutil.copy(file, copy)
        with closing(Reader(f"sqlite:///{copy}")) as copied:
            assert copied.sweeps() == reader.sweeps()
        new_sweep(store, "second")
        store.close()
        shutil.copy(file, copy)
        with closing(Reader(f"sqlite:///{copy}")) as copied:
            assert [sweep.name for sweep in copied.sweeps()] == ["first", "second"]
        assert reader.version() != before


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sweeper.store.engine.AT_ONCE", 0.01)


@pytest.mark.usefixtures("quick")
def test_a_driver_waits_for_its_turn_and_is_told_so(tmp_path: Path) -> None:
    url, told = f"sqlite:///{tmp_path}/s.db", []
    Store(url).close()
    other = sqlite3.connect(tmp_path / "s.db", isolation_level=None)

    def waiting(seconds: float) -> None:
        told.append(seconds)
        if len(told) == 3:
            other.execute("ROLLBACK")

    with closing(Store(url, waiting=waiting)) as store, closing(other):
        other.execute("BEGIN EXCLUSIVE")
        assert new_sweep(store, "first").name == "first"
        with closing(Reader(url)) as reader:
            assert [sweep.name for sweep in reader.sweeps()] == ["first"]
    assert len(told) == 3
    assert told == sorted(told)


@pytest.mark.usefixtures("quick")
def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    monkeypatch.setattr(sqlite_files, "PATIENCE", 0.0)
    with (
        closing(Store(url, waiting=lambda seconds: None)) as store,
        closing(sqlite3.connect(tmp_path / "s.db", isolation_level=None)) as other,
    ):
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"the database .* cannot be used: database is locked"):
            new_sweep(store, "first")
        other.execute("ROLLBACK")
        assert new_sweep(store, "first").name == "first"
