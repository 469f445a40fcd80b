"""The terminal: sentences about a running sweep, and what may be said of a board."""

import io
import math
import re

import pytest
from rich.console import Console

from sweeper.cli import console
from sweeper.driver.progress import Status
from sweeper.results.progress_estimate import Planned, progress_estimate

STATES = {1: "complete", 2: "failed", 3: "complete", 4: "running"}
COUNTS = {"complete": 2, "running": 1, "failed": 1}
SO_FAR = progress_estimate(STATES, Planned(9, 1, 0), 4, 90.0)
STATUS = Status("mine", COUNTS, SO_FAR, "val_ppl", 231.44, 7, 2)


def test_the_headline_counts_and_estimates() -> None:
    assert console.headline(STATUS) == "mine: 3 of 9 ended, 1 running, 1 failed; 1:30, about 3:00 to go"
    nothing = progress_estimate({}, Planned(9, 1, 0), 0, 90.0)
    assert console.headline(STATUS._replace(states={}, progress=nothing)) == "mine: 0 of 9 ended; 1:30"


def test_the_best_has_its_interval_where_it_is_known() -> None:
    assert console.leader(STATUS, {}) == "best val_ppl so far 231.4, trial 7"
    low, high = math.exp(5.444 - 0.196), math.exp(5.444 + 0.196)
    assert f"[{low:.1f}, {high:.1f}]" in console.leader(STATUS, {7: (5.444, 0.1)})
    assert console.leader(STATUS._replace(best=None), {}) == ""


def test_the_live_table_shows_running_trials_and_events() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=120, markup=False, highlight=False)
    live = console.LiveTable(screen)
    live.started(7, "trial 7 started")
    live.rows(7, 1550, {"val_ppl": 231.44, "val_nelbo": 5.444, "val_nelbo_se": 0.1})
    live.status(STATUS)
    live.ended(7, "complete", "trial 7 complete [bold]")
    live.close()
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "trial 7 started" in text
    assert "3 of 9 ended" in text
    assert "step 1,550" in text
    assert "trial 7 complete [bold]" in text


def test_no_bar_is_drawn_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = console.progress()
    lines.started(1, "trial 1 started")
    lines.status(STATUS)
    lines.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  trial 1 started\n", err)


def test_numbers_are_short_whatever_their_size() -> None:
    assert [console.number(value) for value in (None, 1700.0, 1e30, 1e-4, 0.44)] == [
        *("", "1,700", "1e+30", "0.0001", "0.44")
    ]
