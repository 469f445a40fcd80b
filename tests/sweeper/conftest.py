"""What every test of the sweeper begins with."""

from collections.abc import Iterator

import pytest

from tests import fakes
from tests.sweeper import postgres


@pytest.fixture(autouse=True)
def nobody_is_killed_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that plays a kill says so in `fakes.killed`; the next one begins without."""
    monkeypatch.setattr(fakes, "killed", False)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server's database."""
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed on this machine")
    with postgres.server(folder) as url:
        yield url
