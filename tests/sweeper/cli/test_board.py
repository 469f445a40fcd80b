"""A board goes to whoever reads it slowly, page by page for hours: nothing of the store waits for that."""

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from sweeper.cli.board import show_board
from sweeper.terminal import first_rows
from tests.sweeper.filled import fill


def test_the_stores_moment_is_over_before_a_word_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/sweeps.db"
    name, glance, moments = fill(url), first_rows.glance, []

    @contextmanager
    def seen(*given: Any) -> Iterator[Any]:
        with glance(*given) as now:
            moments.append("begun")
            yield now
        moments.append("over")

    class Reader(StringIO):
        def write(self, text: str) -> int:
            assert not text or moments == ["begun", "over"]
            return super().write(text)

    monkeypatch.setattr(first_rows, "glance", seen)
    with redirect_stdout(Reader()) as shown:
        show_board(name, url, json=False, limit=2)
    assert "more rows without --limit" in shown.getvalue()
