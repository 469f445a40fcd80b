"""The terminal: sentences about a running sweep, and what may be said of a board."""

import io
import math

import pytest
from rich.console import Console

from sweeper import console
from sweeper.leaderboard import Board, Row
from sweeper.progress import Status

STATUS = Status("mine", {"complete": 2, "running": 1, "failed": 1}, 9, "val_ppl", 231.44, 7, 2, 90.0)


def row(rank: int | None, configuration: int, tied: bool = False, why: str = "", **values: object) -> Row:
    known = {"val_nelbo": 5.4, "val_ppl": 221.4, "val_ppl_low": 200.0, "val_ppl_high": 245.0}
    return Row(
        rank=rank,
        configuration=configuration,
        values=values,
        trials=[configuration],
        roles=["search"],
        seeds=1,
        state="complete",
        step=1700,
        **(known if rank else dict.fromkeys(known)),
        tied_with_best=tied,
        why=why,
        difference=None,
        margin=None,
        note="",
        metrics={},
    )


def board(*rows: Row) -> Board:
    return Board(1, "mine", "complete", "", "val_ppl", {}, [], list(rows))


def drawn(table: object) -> str:
    screen = Console(file=io.StringIO(), width=120, markup=False, highlight=False)
    screen.print(table)
    return screen.file.getvalue()  # type: ignore[attr-defined]


def test_the_headline_counts_and_estimates() -> None:
    assert console.headline(STATUS) == "mine: 3 of 9 ended, 1 running, 1 failed; 1:30, about 3:00 to go"
    assert console.headline(STATUS._replace(states={})) == "mine: 0 of 9 ended; 1:30"


def test_the_best_has_its_interval_where_it_is_known() -> None:
    assert console.leader(STATUS, {}) == "best val_ppl so far 231.4, trial 7"
    low, high = math.exp(5.444 - 0.196), math.exp(5.444 + 0.196)
    assert f"[{low:.1f}, {high:.1f}]" in console.leader(STATUS, {7: (5.444, 0.1)})
    assert console.leader(STATUS._replace(best=None), {}) == ""


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "Nothing can be ranked"),
        ([row(None, 1)], "Nothing can be ranked"),
        ([row(1, 1, True, "best")], "nothing to compare it to"),
        ([row(1, 1, True, "best"), row(2, 2)], "Rank 1 is better than all others"),
        ([row(1, 1, True, "best"), row(1, 2, True, "within the error")], "No winner: 2 of 2"),
        ([row(1, 1, True, "one seed"), row(1, 2, True, "one seed")], "With one seed"),
    ],
)
def test_no_winner_is_named_that_is_none(rows: list[Row], said: str) -> None:
    assert said in console.verdict(board(*rows))


def test_ties_are_marked_and_only_the_values_asked_for_are_shown() -> None:
    rows = [
        row(1, 1, True, "best", k=1e-4, other=5),
        row(1, 2, True, "one seed", k=None),
        row(3, 3),
        row(None, 4),
    ]
    lines = drawn(console.board_table(board(*rows), {"k": ["k"]})).splitlines()
    assert [line.split()[0] for line in lines] == ["rank", "1=", "1=", "3", "-"]
    assert "0.0001" in lines[1]
    assert "[200.0, 245.0]" in lines[1]
    assert "other" not in lines[0]
    alone = drawn(console.board_table(board(row(1, 1, True, "best"), row(2, 2)), {})).splitlines()
    assert alone[1].split()[0] == "1"


def test_hostile_values_are_shown_as_they_are() -> None:
    text = drawn(console.board_table(board(row(1, 1, True, "best", k="[red]x[/] :smile:")), {"k": ["k"]}))
    assert "[red]x[/] :smile:" in text


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
    assert (out, err) == ("", "trial 1 started\n")
