"""What tests of a driver begin with."""

from pathlib import Path

import pytest


@pytest.fixture
def place(tmp_path: Path) -> tuple[str, Path]:
    """The URL of a store that is not there yet, and a folder for checkpoints."""
    return f"sqlite:///{tmp_path}/sweeps.db", tmp_path / "files"
