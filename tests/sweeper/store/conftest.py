"""What every test of the store begins with."""

from pathlib import Path

import pytest

from tests.sweeper import postgres


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database; a file of it, and its folder, are not there yet."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/new folder/sweeps.db"
    return postgres.empty_schema(request.getfixturevalue("server"))
