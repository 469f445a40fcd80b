"""The pictures of the dashboard's document can be made again, by a real Streamlit and a real browser."""

import struct
from pathlib import Path

import pytest

from benchmarks.document import DOCS
from benchmarks.drawing import found
from benchmarks.pictures import HEIGHT, PICTURES, WIDTH, take_all
from tests.sweeper.filled import fill

MOST = 150_000  # bytes of one in the repository


def test_every_picture_is_there_small_and_in_the_document() -> None:
    document = (DOCS / "dashboard.md").read_text()
    for picture in PICTURES:
        path = DOCS / "pictures" / f"{picture.name}.png"
        assert path.stat().st_size < MOST
        assert f"pictures/{path.name}" in document
    assert len(PICTURES) == len(list((DOCS / "pictures").iterdir()))


@pytest.mark.long
@pytest.mark.skipif(found() is None, reason="no Chromium on this machine: apt-get install chromium")
def test_the_leaderboard_of_a_store_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]")
    url = f"sqlite:///{tmp_path}/s.db"
    fill(url)
    light, dark = take_all(url, tmp_path / "pictures", "leaderboard")
    drawn = light.read_bytes()
    assert drawn.startswith(b"\x89PNG")
    assert struct.unpack(">II", drawn[16:24]) == (WIDTH, HEIGHT)
    assert drawn != dark.read_bytes()
