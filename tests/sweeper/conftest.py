"""What every test of the sweeper begins with."""

import pytest

from tests import fakes


@pytest.fixture(autouse=True)
def nobody_is_killed_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that plays a kill says so in `fakes.killed`; the next one begins without."""
    monkeypatch.setattr(fakes, "killed", False)
