"""What is shown while a sweep runs: sentences about it, a table, a title."""

import io
import math
import re
from collections import Counter
from typing import Any

import pytest
from rich.console import Console

from sweeper.driver.progress import Lines, Status
from sweeper.results.progress_estimate import Pace, Planned, Pretrain, Run, progress_estimate
from sweeper.terminal import live

RUNS = Counter(Run("search", state) for state in ("complete", "failed", "complete", "running"))
COUNTS = {"complete": 2, "running": 1, "failed": 1}
SO_FAR = progress_estimate(RUNS, Planned(9, 1, 0), 4, Pace(3, 90.0), 90.0)
STATUS = Status("mine", COUNTS, SO_FAR, "val_ppl", 231.44, 7, 2)


def test_the_headline_counts_and_estimates() -> None:
    assert live.headline(STATUS) == "mine: 3 of 9 ended, 1 running, 1 failed; 1:30, about 3:00 to go"
    nothing = progress_estimate(Counter(), Planned(9, 1, 0), 0, Pace(0, 90.0), 90.0)
    assert live.headline(STATUS._replace(states={}, progress=nothing)) == "mine: 0 of 9 ended; 1:30"


def test_the_best_has_its_interval_where_it_is_known() -> None:
    assert live.leader(STATUS, {}) == "lowest val_ppl of one run so far 231.4, trial 7"
    low, high = math.exp(5.444 - 0.196), math.exp(5.444 + 0.196)
    assert f"[{low:.1f}, {high:.1f}]" in live.leader(STATUS, {7: (5.444, 0.1)})
    assert live.leader(STATUS._replace(best=None), {}) == ""


def test_the_live_table_shows_running_trials_and_events() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=120, markup=False, highlight=False)
    table = live.LiveTable(screen)
    table.started(7, "trial 7 started")
    table.rows(7, 1550, {"val_ppl": 231.44, "val_nelbo": 5.444, "val_nelbo_se": 0.1})
    table.status(STATUS)
    table.ended(7, "complete", "trial 7 complete [bold]")
    table.close()
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "trial 7 started" in text
    assert "3 of 9 ended" in text
    assert "step 1,550" in text
    assert "trial 7 complete [bold]" in text


PRETRAINS = (Pretrain("5eed", 120, 1500), Pretrain("beef", None, 40))


def test_pretrains_that_run_are_shown_while_no_trial_can() -> None:
    screen = Console(file=io.StringIO(), force_terminal=True, width=120, markup=False, highlight=False)
    table = live.LiveTable(screen)
    table.status(STATUS._replace(pretrains=PRETRAINS))
    table.close()
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "pretrain 5eed: step 120 of 1,500" in text
    assert "pretrain beef: running, 40 steps" in text


def test_in_a_pipe_they_are_said_where_a_minute_was_silent(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    lines = Lines(clock=lambda: now[0])
    for seconds in (0, 59, 60, 61, 100, 121):
        now[0] = float(seconds)
        lines.status(STATUS._replace(pretrains=PRETRAINS))
        if seconds == 100:
            lines.note("something else")
    now[0] = 160.0
    lines.status(STATUS)  # no pretrain runs
    lines.status(STATUS._replace(pretrains=PRETRAINS[:1]))
    said = [line.partition("  ")[2] for line in capsys.readouterr().err.splitlines()]
    both, first = "pretrain 5eed: step 120 of 1,500; pretrain beef: running, 40 steps", PRETRAINS[0].words()
    assert said == [both, "something else", first]


def test_no_bar_is_drawn_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    lines = live.progress()
    lines.started(1, "trial 1 started")
    lines.status(STATUS)
    lines.close()
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  trial 1 started\n", err)


def screen(**more: Any) -> Console:
    return Console(file=io.StringIO(), width=120, markup=False, highlight=False, **more)


def said(on: Console) -> str:
    assert isinstance(on.file, io.StringIO)
    return on.file.getvalue()


def test_the_title_says_how_far_it_is_and_is_given_back() -> None:
    terminal = screen(force_terminal=True, _environ={"TERM": "xterm"})
    table = live.LiveTable(terminal)
    table.status(STATUS)
    table.close()
    assert said(terminal).count(live.SAVE_TITLE) == 1
    assert "\x1b]0;mine: 3 of 9 ended, 1 running, 1 failed\x07" in said(terminal)
    assert said(terminal).endswith(live.RESTORE_TITLE)


@pytest.mark.parametrize(
    "more", [{"force_terminal": False}, {"force_terminal": True, "_environ": {"TERM": "dumb"}}]
)
def test_what_is_no_such_terminal_gets_no_title(more: dict[str, Any]) -> None:
    other = screen(**more)
    table = live.LiveTable(other)
    table.status(STATUS)
    table.close()
    assert "\x1b]0;" not in said(other)
    assert live.SAVE_TITLE not in said(other)


def test_quiet_says_how_to_go_on_and_verbose_every_report(capsys: pytest.CaptureFixture[str]) -> None:
    for quiet, verbose in ((True, False), (False, True)):
        progress = live.progress(quiet=quiet, verbose=verbose)
        progress.started(7, "trial 7 started")
        progress.rows(7, 1550, {"val_ppl": 231.44})
        progress.ended(7, "complete", "trial 7 complete")
        progress.note("to go on: resume")
        progress.status(STATUS)
        progress.close()
        lines = [line[21:] for line in capsys.readouterr().err.splitlines()]
        more = ["trial 7 started", "trial 7 step 1,550: val_ppl 231.4", "trial 7 complete"] if verbose else []
        assert lines == [*more, "to go on: resume"]


COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:[34][0-7]|[34]8|9[0-7])(?:;[0-9;]*)?m")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_no_color_is_heard(no_color: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"TERM": "xterm-256color", **({"NO_COLOR": no_color} if no_color else {})}
    terminal = screen(force_terminal=True, _environ=environment)
    table = live.LiveTable(terminal)
    table.ended(7, "failed", "trial 7 failed")
    table.close()
    assert bool(COLOUR.search(said(terminal))) == (not no_color)
