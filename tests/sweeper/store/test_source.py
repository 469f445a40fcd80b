"""A store of an older version is read as it would be migrated, and stays as it is."""

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.store.migrate import STEPS, migrate
from sweeper.store.queries import Reader
from sweeper.store.schema import SCHEMA_VERSION
from sweeper.store.source import AT_ONCE, parsed
from sweeper.store.store import Store
from tests.sweeper import schema_1


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()
    file = tmp_path / "sweeps.db"
    schema_1.make(f"sqlite:///{file}", foreign=False)
    return file


def test_it_is_read_as_it_would_be_migrated(old: Path) -> None:
    before = old.read_bytes()
    with closing(Reader(f"sqlite:///{old}")) as reader:
        (sweep,) = reader.sweeps()
        trials, asks = reader.trials(sweep.id), reader.asks(sweep.id)
        assert reader.url == f"sqlite:///{old}"
    assert old.read_bytes() == before
    assert not list(old.parent.glob("*schema-1*"))
    assert not list((old.parent / "temporary").iterdir())
    with closing(Store(f"sqlite:///{old}")), closing(Reader(f"sqlite:///{old}")) as reader:
        assert reader.sweeps() == [sweep]
        assert (reader.trials(sweep.id), reader.asks(sweep.id)) == (trials, asks)


def test_what_an_older_program_writes_meanwhile_is_seen(old: Path) -> None:
    with closing(Reader(f"sqlite:///{old}")) as reader, closing(sqlite3.connect(old)) as other:
        versions = [reader.version(), reader.version()]
        assert versions[0] == versions[1]
        other.execute("PRAGMA journal_mode = WAL")
        for note in ("first", "second"):
            other.execute("UPDATE sweeps SET note = ?", [note])
            other.commit()
            versions.append(reader.version())
            assert reader.sweeps()[0].note == note
    assert len(set(versions)) == 3


def test_a_file_that_is_made_anew_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    with closing(Store(f"sqlite:///{file}")):
        pass
    with closing(Reader(f"sqlite:///{file}")) as reader:
        before = reader.version()
        file.rename(tmp_path / "t.db")
        with closing(Store(f"sqlite:///{file}")) as store:
            store.create_sweep(name="new", spec_text="", spec={}, code_version="", folder="f")
            assert reader.version() != before
            assert [sweep.name for sweep in reader.sweeps()] == ["new"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(values=st.lists(values, min_size=1, max_size=20))
def test_many_texts_are_parsed_as_few_are(values: list[Any]) -> None:
    texts = [json.dumps(each) for each in values]
    many = parsed(texts * (1 + AT_ONCE // len(texts)))
    assert repr(many[: len(texts)]) == repr(values)  # to the last digit, and of the same type
    assert many == parsed(texts) * (len(many) // len(texts))


def test_half_a_surrogate_is_read_among_many() -> None:
    texts = ['"\\ud800"', "null", None] * AT_ONCE
    assert parsed(texts) == ["\ud800", None, None] * AT_ONCE


@pytest.mark.parametrize("schema", range(1, SCHEMA_VERSION))
def test_each_earlier_version_is_read(tmp_path: Path, schema: int, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    schema_1.make(url, foreign=False)
    with monkeypatch.context() as then:  # when that version was the newest, and had these steps alone
        steps = tmp_path / "steps"
        steps.mkdir()
        for number in range(2, schema + 1):
            shutil.copy(STEPS / f"to_{number}.py", steps)
        for module in ("sweeper.store.migrate", "sweeper.store.engine"):
            then.setattr(f"{module}.SCHEMA_VERSION", schema)
        then.setattr("sweeper.store.migrate.STEPS", steps)
        migrate(url)
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        version = "SELECT value FROM meta WHERE key = 'schema_version'"
        assert connection.execute(version).fetchone() == (str(schema),)
    with closing(Reader(url)) as reader:
        (sweep,) = reader.sweeps()
        assert len(reader.trials(sweep.id)) == 3
        assert (reader.drivers(sweep.id), reader.scores(sweep.id), reader.asks(sweep.id)) == ([], [], [])
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        assert connection.execute(version).fetchone() == (str(schema),)
