"""Stores of older versions: brought up to date with every row, whoever is killed or comes at once."""

import itertools
import json
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, text
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.store.controls import request
from sweeper.store.engine import StoreError
from sweeper.store.migrate import STEPS, migrate
from sweeper.store.queries import Reader
from sweeper.store.schema import SCHEMA_VERSION, metadata
from sweeper.store.store import Store
from tests.sweeper import postgres, schema_1
from tests.sweeper.schema_1 import content


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    yield engine
    engine.dispose()


def schema(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.scalar(text("SELECT value FROM meta")))


@pytest.mark.parametrize("foreign", [False, True])
def test_an_older_store_is_brought_up_to_date(url: str, engine: Engine, foreign: bool) -> None:
    rows = schema_1.make(url, foreign=foreign)
    before = {table: content(engine, table) for table in rows}
    store = Store(url)
    assert store.migrated is not None
    assert (store.migrated.before, store.migrated.after) == (1, SCHEMA_VERSION)

    rows.pop("meta")
    for table in rows:  # what later versions have added is at its default
        added = [
            row.keys() - old.keys() for row, old in zip(content(engine, table), before[table], strict=True)
        ]
        assert all(new <= {"version", "who"} for new in added)
        kept = [
            {k: row[k] for k in row.keys() & old.keys()}
            for row, old in zip(content(engine, table), before[table], strict=True)
        ]
        assert kept == before[table]
    assert all(len(before[table]) == len(rows[table]) for table in rows)
    assert schema(engine) == str(SCHEMA_VERSION)
    with engine.connect() as connection:  # the tables are those that a new store has
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []

    store.take_lease(1, "me", 60)
    writer = store.writer(1, "me")
    assert writer.add_configuration("beef", {"a": 1}) > 1
    assert len(content(engine, "foreign_trials")) == foreign
    store.close()
    again = Store(url)
    assert again.migrated is None
    again.close()


def test_the_copy_is_the_store_as_it_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    schema_1.make(url, foreign=False)
    (tmp_path / "sweeps.db").chmod(0o640)
    held = sqlite3.connect(tmp_path / "sweeps.db")  # what it has last written is in the -wal file alone
    held.execute("UPDATE sweeps SET note = 'late'")
    held.commit()
    (tmp_path / "sweeps.schema-1.db.tmp").write_bytes(b"half a copy")
    done = migrate(url)
    held.close()
    assert done is not None
    assert done.copy == tmp_path / "sweeps.schema-1.db"
    assert done.copy.stat().st_mode & 0o777 == 0o640
    assert str(done.copy) in done.words()
    old = create_engine(f"sqlite:///{done.copy}")
    assert schema(old) == "1"
    assert content(old, "sweeps")[0]["note"] == "late"
    old.dispose()
    assert not list(tmp_path.glob("*.tmp*"))


def test_requests_say_what_to_do_and_on_a_server_readers_too(url: str, engine: Engine) -> None:
    schema_1.make(url, foreign=True)
    asks: list[Callable[[], object]] = [lambda: request(url, 1, "stop")]
    asks += [] if url.startswith("sqlite") else [lambda: Reader(url)]
    for ask in asks:
        with pytest.raises(StoreError, match=r"older version .*python -m sweeper migrate") as said:
            ask()
        assert postgres.PASSWORD not in str(said.value)
    assert schema(engine) == "1"


def test_the_command(url: str) -> None:
    schema_1.make(url, foreign=True)
    runner = CliRunner()
    told = runner.invoke(app, ["status", "--db", url, "--json"])
    assert told.exit_code == (0 if url.startswith("sqlite") else 7)
    done = runner.invoke(app, ["migrate", "--db", url, "--json"])
    assert (done.exit_code, json.loads(done.stdout)["migrated"]["before"]) == (0, 1)
    again = runner.invoke(app, ["migrate", "--db", url])
    assert again.stdout == "nothing to do: this database is up to date\n"
    shown = runner.invoke(app, ["status", "--db", url, "--json"])
    assert json.loads(shown.stdout)["sweeps"][0]["trials"] == {"complete": 1, "queued": 1}
    if told.exit_code == 0:
        assert told.stdout == shown.stdout


def test_the_command_makes_no_database(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["migrate", "--db", f"sqlite:///{tmp_path}/none.db"])
    assert (told.exit_code, list(tmp_path.iterdir())) == (7, [])


def test_a_store_that_a_driver_works_in_is_left_alone(url: str, engine: Engine) -> None:
    schema_1.make(url, foreign=False)
    with engine.begin() as connection:
        connection.execute(text("UPDATE sweeps SET lease_until = :t"), {"t": time.time() + 60})
    with pytest.raises(StoreError, match=r"host:1 is running sweep first in it: stop that, or wait \d\d s"):
        Store(url)
    assert schema(engine) == "1"


def test_without_room_for_a_copy_nothing_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    schema_1.make(url, foreign=False)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
        with pytest.raises(StoreError, match=r"no room for a copy of .*, 10 are free"):
            Store(url)
    assert [each.name for each in tmp_path.glob("*schema-1*")] == []
    Store(url).close()


@pytest.mark.parametrize("stride", [5, pytest.param(1, marks=pytest.mark.long)], ids=["some", "every"])
def test_killed_at_any_statement_it_can_be_opened(
    stride: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    kinds = ["sqlite", *(["postgresql"] if postgres.binaries() else [])]
    for kind in kinds:
        for at in itertools.count(0, stride if kind == "sqlite" else 4 * stride):
            place = f"sqlite:///{tmp_path}/{at}.db"
            url = place if kind == "sqlite" else postgres.empty_schema(request.getfixturevalue("server"))
            rows = schema_1.make(url, foreign=False)
            killed = in_a_child(lambda at=at, url=url: killed_at(at, url))
            engine = create_engine(url)
            if killed:
                assert schema(engine) == "1"
                Store(url).close()
            assert schema(engine) == str(SCHEMA_VERSION)
            assert len(content(engine, "trials")) == len(rows["trials"])
            assert content(engine, "foreign_trials") == []
            engine.dispose()
            if not killed:
                assert at > 4, at
                break


def killed_at(at: int, url: str) -> None:
    """The process ends at its statement number `at`; the commit is the last of them."""
    left = itertools.count(at, -1)

    def count(*_: object) -> None:
        if next(left) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for moment in ("before_cursor_execute", "commit"):
        event.listen(Engine, moment, count)
    migrate(url)


def in_a_child(work: Callable[[], None]) -> bool:
    """Whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_drivers_that_come_at_the_same_time(url: str, engine: Engine) -> None:
    schema_1.make(url, foreign=False)
    engine.dispose()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                Store(url).close()
            except BaseException:
                os._exit(1)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert schema(engine) == str(SCHEMA_VERSION)
    assert len(content(engine, "trials")) == 3


def test_every_version_has_its_step() -> None:
    steps = ScriptDirectory(str(STEPS), version_locations=[str(STEPS)]).walk_revisions()
    assert sorted(int(step.revision) for step in steps) == list(range(2, SCHEMA_VERSION + 1))
    assert not [file for file in STEPS.glob("to_*.py") if "sweeper" in file.read_text()]
