"""A driver waits for others' locks in PostgreSQL as long as in SQLite, and is told so meanwhile."""

from contextlib import closing

import psycopg
import pytest
from sqlalchemy import make_url

from sweeper.store import postgres_locks
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.sqlite_files import BUSY_TIMEOUT, PATIENCE
from sweeper.store.store import Store
from tests.sweeper import postgres
from tests.sweeper.store.stores import new_sweep


@pytest.fixture
def url(request: pytest.FixtureRequest) -> str:
    return postgres.empty_schema(request.getfixturevalue("server"))


def another(url: str) -> "psycopg.Connection[tuple[object, ...]]":
    """Another program's connection."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain)


@pytest.mark.parametrize(
    "lock", ["LOCK TABLE events IN ACCESS EXCLUSIVE MODE", "SELECT * FROM sweeps FOR UPDATE"]
)
def test_a_lock_is_waited_for_and_that_is_said(lock: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_locks, "AT_ONCE", 0.1)
    told: list[float] = []
    with another(url) as other:

        def waiting(seconds: float) -> None:
            told.append(seconds)
            if len(told) == 3:
                other.rollback()

        with closing(Store(url, waiting=waiting)) as store:
            sweep = new_sweep(store, "first")
            store.take_lease(sweep.id, "me", 3600)
            other.execute(lock)
            store.writer(sweep.id, "me").add_event("kind", "written at last")
    assert len(told) == 3
    assert told == sorted(told)
    with closing(Reader(url)) as reader:
        assert [event.text for event in reader.events(sweep.id)] == ["written at last"]


def test_it_is_given_up_one_day_in_words(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_locks, "PATIENCE", 0.2)
    with closing(Store(url, waiting=lambda seconds: None)) as store, another(url) as other:
        sweep = new_sweep(store, "first")
        store.take_lease(sweep.id, "me", 3600)
        other.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreError, match=r"cannot be used: .*lock timeout"):
            store.writer(sweep.id, "me").add_event("kind", "text")


@pytest.mark.parametrize(("driver", "seconds"), [(True, PATIENCE), (False, BUSY_TIMEOUT)])
def test_the_patience_is_that_of_sqlite(driver: bool, seconds: float, url: str) -> None:
    waiting = (lambda seconds: None) if driver else None
    with closing(Store(url, waiting=waiting)) as store, store._engine.connect() as connection:
        said = connection.exec_driver_sql("SELECT setting FROM pg_settings WHERE name = 'lock_timeout'")
        assert float(said.scalar_one()) == seconds * 1000
