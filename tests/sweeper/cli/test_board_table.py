"""The board on a terminal: what it marks, what it concludes, and that it explains itself."""

import io

import pytest
from rich.console import Console

from sweeper.cli import board_table as tables
from sweeper.results.leaderboard import Board
from sweeper.results.row import Row


def row(rank: int | None, configuration: int, tied: bool = False, why: str = "", **values: object) -> Row:
    known = {
        **{"val_nelbo": 5.4, "val_ppl": 221.4, "val_ppl_low": 200.0, "val_ppl_high": 245.0},
        "val_ppl_as_run": 221.4,
    }
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


def drawn(rows: list[Row], searched: list[str], width: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """As on a terminal of that width."""
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True, color_system=None)
    monkeypatch.setattr(tables, "Console", lambda **_: screen)
    tables.print_board(board(*rows), searched)
    return screen.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "Nothing can be ranked"),
        ([row(None, 1)], "Nothing can be ranked"),
        ([row(1, 1, True, "best")], "nothing to compare it to"),
        ([row(1, 1, True, "best"), row(2, 2)], "No winner: 1 of 2"),
        ([row(1, 1, True, "best"), row(1, 2, True, "within the error")], "No winner: 2 of 2"),
        ([row(1, 1, True, "one seed"), row(1, 2, True, "one seed")], "With one seed"),
    ],
)
def test_no_winner_is_named_that_is_none(rows: list[Row], said: str) -> None:
    assert said in tables.verdict(board(*rows))


def test_a_winner_is_named_where_the_board_has_one() -> None:
    won = board(row(1, 1, True, "best"), row(2, 2))._replace(winning=1)
    assert "Rank 1 is better than all others" in tables.verdict(won)


def test_ties_are_marked_and_only_the_values_asked_for_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        row(1, 1, True, "best", k=1e-4, other=5),
        row(1, 2, True, "one seed", k=None),
        row(3, 3),
        row(None, 4),
    ]
    lines = drawn(rows, ["k"], 120, monkeypatch).splitlines()
    assert [line.split()[0] for line in lines[:5]] == ["rank", "1=", "1=", "3", "-"]
    assert "0.0001" in lines[1]
    assert "[200.0, 245.0]" in lines[1]
    assert "other" not in lines[0]
    alone = drawn([row(1, 1, True, "best"), row(2, 2)], [], 120, monkeypatch).splitlines()
    assert alone[1].split()[0] == "1"


def test_hostile_values_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (60, 120):
        text = drawn([row(1, 1, True, "best", k="[red]x[/] :smile:")], ["k"], width, monkeypatch)
        assert "[red]x[/] :smile:" in text


GAUSSIAN = {"f.size": 16, "f.schedule.name": "gaussian", "f.schedule.mu": 0.44, "f.clip.low": 0.1}


def test_a_narrow_terminal_has_the_values_below_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(1, 7, True, "best", **GAUSSIAN), row(2, 8, **GAUSSIAN)]
    narrow = drawn(rows, list(GAUSSIAN), 80, monkeypatch).splitlines()
    assert "1" in narrow[1].split()
    assert narrow[2].strip() == "trial 7: size 16, schedule gaussian, mu 0.44, clip.low 0.1"
    wide = drawn(rows, list(GAUSSIAN), 120, monkeypatch).splitlines()
    assert "schedule.mu" in wide[0]
    assert "0.44" in wide[1]


def test_numbers_that_are_not_what_the_trials_said_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    adjusted = row(1, 1, True, "best")._replace(val_ppl=225.2, val_ppl_as_run=219.4)
    text = drawn([adjusted, row(1, 2, True, "within the error")], [], 120, monkeypatch)
    assert "as run" in text.splitlines()[0]
    assert "219.4" in text.splitlines()[1]
    assert "as run: what the trials reported" in text
    plain = drawn([row(1, 1, True, "best"), row(2, 2)], [], 120, monkeypatch)
    assert "as run" not in plain


def test_the_difference_stands_with_what_it_must_exceed(monkeypatch: pytest.MonkeyPatch) -> None:
    worse = row(2, 2)._replace(difference=0.0912, margin=0.05, val_ppl=210.0)
    tied = row(1, 3, True, "one seed")._replace(difference=0.01, val_ppl=230.0)
    text = drawn([row(1, 1, True, "best"), tied, worse], [], 120, monkeypatch)
    assert "+0.0100 ±?" in text
    assert "+0.0912 ±0.0500" in text
    assert "A tied row may have a higher val_ppl" in text


def test_a_board_that_may_change_says_so_and_failures_say_where_to_look() -> None:
    done = board(row(1, 1, True, "best"))
    assert tables.legend(done) == []
    running = done._replace(state="running", name="my sweep", trials={"running": 2, "failed": 1})
    why, final = tables.legend(running)
    assert why == "1 trial failed; why: python -m sweeper show 'my sweep' TRIAL"
    assert final == "Not final: the sweep is running (2 running, 1 failed)."


def test_the_floors_stand_below_the_board() -> None:
    floors = {"unigram_nelbo": 6.3, "bigram_nelbo": 5.3}
    said = tables.legend(board(row(1, 1, True, "best")._replace(metrics=floors)))
    assert said == ["On the same tokens a unigram model has perplexity 544.6, an add-one bigram 200.3."]


def test_the_front_of_several_metrics_is_marked_beside_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    good = row(1, 1, True, "best")._replace(metrics={"seconds": 90.5}, pareto=True)
    dominated = row(2, 2)._replace(metrics={"seconds": 95.25}, pareto=False)
    table = tables.board_table(board(good, dominated)._replace(also=("seconds",)), [good, dominated], None)
    columns = {str(column.header): [str(cell) for cell in column.cells] for column in table.columns}
    assert columns["seconds"] == ["90.5", "95.25"]
    assert columns["front"] == ["*", ""]
    assert any("front: " in line for line in tables.legend(board(good)._replace(also=("seconds",))))
    assert "front" not in drawn([good, dominated], [], 120, monkeypatch)
