"""What every test of the sweeper begins with."""

from collections.abc import Iterator

import pytest

from sweeper.spec.space import Space
from sweeper.strategies.samplers import SAMPLERS, NsgaII, Tpe
from tests import fakes
from tests.sweeper import postgres

ENDLESS = [name for name, each in SAMPLERS.items() if each.length(Space({})) is None]


@pytest.fixture(autouse=True)
def nobody_is_killed_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that plays a kill says so in `fakes.killed`; the next one begins without."""
    monkeypatch.setattr(fakes, "killed", False)


@pytest.fixture
def small_samplers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A memory and a generation that a few trials fill."""
    monkeypatch.setitem(SAMPLERS, Tpe.name, Tpe(most_seen=12))
    monkeypatch.setitem(SAMPLERS, NsgaII.name, NsgaII(population=4))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server's database."""
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed on this machine")
    with postgres.server(folder) as url:
        yield url
