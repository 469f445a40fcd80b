"""What every test of the store begins with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from sweeper.store.store import Store
from sweeper.store.writer import Writer
from tests.sweeper import postgres
from tests.sweeper.store.stores import new_sweep


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database; a file of it, and its folder, are not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new folder/sweeps.db"
    return postgres.empty_schema(request.getfixturevalue("server"))


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
