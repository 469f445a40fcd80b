"""README's picture of the dashboard can be made again, by a real Streamlit and a real browser."""

import struct
from pathlib import Path

import pytest

from benchmarks.drawing import found
from benchmarks.pictures import HEIGHT, WIDTH, picture, shown
from tests.sweeper.filled import fill

pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]")


@pytest.mark.long
@pytest.mark.skipif(found() is None, reason="no Chromium on this machine: apt-get install chromium")
def test_the_leaderboard_of_a_store_is_drawn(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    fill(url)
    with shown(url) as address:
        drawn = picture(address, tmp_path / "leaderboard.png").read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert struct.unpack(">II", drawn[16:24]) == (WIDTH, HEIGHT)
