"""What every test of the sweeper begins with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sweeper.files.remote import within
from sweeper.spec.space import Space
from sweeper.strategies.samplers import SAMPLERS, Gp, NsgaII, Tpe
from tests import fakes
from tests.sweeper import postgres, s3

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
    monkeypatch.setitem(SAMPLERS, Gp.name, Gp(most_seen=12, startup=6, even=16))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server's database."""
    folder = postgres.binaries()
    if folder is None:
        pytest.skip("no PostgreSQL server is installed on this machine")
    with postgres.server(folder) as url:
        yield url


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """The URI of a bucket on an S3 server."""
    with s3.server() as uri:
        yield uri


@pytest.fixture(params=["file", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URI of an object store that nobody else uses."""
    if request.param == "file":
        return f"file://{tmp_path}/store"
    return within(request.getfixturevalue("bucket"), tmp_path.name)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The trainer's own, empty."""
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
