"""The board on a terminal: what it marks, what it concludes, and that it explains itself."""

import io
import math

import pytest
from rich.console import Console

from sweeper.results.fresh import Fresh
from sweeper.results.leaderboard import Board
from sweeper.results.race_record import Contest
from sweeper.results.row import Row
from sweeper.spec.sections import Settle
from sweeper.terminal import board_table as tables
from sweeper.terminal.board_columns import COLUMNS, NoColumn, chosen, column_of, split


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


def drawn(
    rows: list[Row],
    searched: list[str],
    width: int,
    monkeypatch: pytest.MonkeyPatch,
    *,
    columns: list[str] | None = None,
    sort: str | None = None,
) -> str:
    """As on a terminal of that width."""
    screen = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True, color_system=None)
    monkeypatch.setattr(tables, "Console", lambda **_: screen)
    return tables.board_text(board(*rows), searched, None, columns, sort)


def test_ranks_are_ranges_and_only_the_values_asked_for_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        row(1, 1, True, "best", k=1e-4, other=5)._replace(rank_low=1, rank_high=2),
        row(1, 2, True, "one seed", k=None)._replace(rank_low=1, rank_high=3),
        row(3, 3)._replace(rank_low=3, rank_high=3),
        row(None, 4),
    ]
    answer, head, *lines = drawn(rows, ["k"], 120, monkeypatch).splitlines()
    assert answer.startswith("No answer")
    assert head.split()[0] == "rank"
    assert [line.split()[:2] for line in lines[:4]] == [["1", "1-2="], ["2", "1-3="], ["3", "3"], ["4", "-"]]
    assert "0.0001" in lines[0]
    assert "[200.0, 245.0]" not in lines[0]
    assert "other" not in head


def test_columns_are_chosen_and_rows_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        row(1, 1, True, "best", k=3)._replace(metrics={"seconds": 9.5}),
        row(2, 2, k=1)._replace(val_ppl=300.0, metrics={"seconds": 4.25}),
        row(None, 3, k=2),
    ]
    names = ["interval", "seconds", "k"]
    text = drawn(rows, ["k"], 120, monkeypatch, columns=names, sort="seconds")
    _, head, *lines = text.splitlines()
    assert head.split() == ["95%", "interval", "seconds", "k"]
    assert [line.split() for line in lines[:3]] == [
        ["2", "[200.0,", "245.0]", "4.25", "1"],
        ["1", "[200.0,", "245.0]", "9.5", "3"],
        ["3", "2"],
    ]
    assert "95% interval: of each value by itself, over evaluation text alone." in text
    with pytest.raises(NoColumn, match="there is no column nothing; there are: rank, "):
        drawn(rows, ["k"], 120, monkeypatch, columns=["nothing"])
    for name in COLUMNS:  # each can be shown, and sorted by
        assert drawn(rows, ["k"], 200, monkeypatch, columns=[name], sort=name)


def test_columns_that_are_asked_for_stand_once_and_there_is_one() -> None:
    assert split("val_ppl, rank,val_ppl,, rank") == ["val_ppl", "rank"]
    assert split(None) is None
    for nothing in ("", " ", ", ,"):
        with pytest.raises(NoColumn, match="names no column"):
            split(nothing)
    with pytest.raises(NoColumn, match="there is no column ''; there are: rank, "):
        column_of(board(row(1, 1)), "")


def test_hostile_values_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (60, 120):
        text = drawn([row(1, 1, True, "best", k="[red]x[/] :smile:")], ["k"], width, monkeypatch)
        assert "[red]x[/] :smile:" in text


GAUSSIAN = {"f.size": 16, "f.schedule.name": "gaussian", "f.schedule.mu": 0.44, "f.clip.low": 0.1}


def test_a_narrow_terminal_has_the_values_below_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row(1, 7, True, "best", **GAUSSIAN), row(2, 8, **GAUSSIAN)]
    _, _, first, values, *_ = drawn(rows, list(GAUSSIAN), 70, monkeypatch).splitlines()[1:]
    assert first.split()[0] == "1"
    assert values.strip() == "trial 7: size 16, schedule gaussian, mu 0.44, clip.low 0.1"
    _, head, first, *_ = drawn(rows, list(GAUSSIAN), 120, monkeypatch).splitlines()
    assert "schedule.mu" in head
    assert "0.44" in first


def test_numbers_that_are_not_what_the_trials_said_are_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    adjusted = row(1, 1, True, "best")._replace(val_ppl=225.2, val_ppl_as_run=219.4)
    text = drawn([adjusted, row(1, 2, True, "within the error")], [], 120, monkeypatch)
    assert "as run" in text.splitlines()[1]
    assert "219.4" in text.splitlines()[2]
    assert "as run: what its trials are ranked by" in text
    plain = drawn([row(1, 1, True, "best"), row(2, 2)], [], 120, monkeypatch)
    assert "as run" not in plain


def test_the_difference_stands_with_its_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of perplexity: exp(0.02) is 1.0202, exp(0.02 -+ 0.01) 1.0101 and 1.0305."""
    worse = row(2, 2)._replace(difference=0.02, margin=0.01)
    unknown = row(1, 3, True, "one seed")._replace(difference=0.01)
    text = drawn([row(1, 1, True, "best"), unknown, worse], [], 120, monkeypatch)
    assert "+1.0% [?]" in text
    assert "+2.0% [+1.0, +3.0]" in text
    fresh = worse._replace(confirmed_seeds=5, confirmed_difference=0.0, confirmed_margin=0.01)
    assert "+0.0% [-1.0, +1.0]" in drawn([row(1, 1, True, "best"), fresh], [], 120, monkeypatch)


@pytest.mark.parametrize(("groups", "title"), [(1, "above row 1"), (2, "above first")])
def test_after_a_race_the_difference_is_to_the_first_of_the_same_race(groups: int, title: str) -> None:
    """And of a row that did not race nothing is said: the search's first is not theirs."""
    raced = row(1, 1)._replace(
        confirmed_seeds=2, confirmed_difference=0.01, confirmed_margin=0.005, confirmed_why="worse"
    )
    rows = [raced, raced._replace(configuration=2, confirmed_seeds=3), row(3, 3)._replace(difference=0.02)]
    contest = Contest(4, [1, 2], [2, 2], None, None, math.inf)
    settle = Settle(by="finetune.block_size" if groups > 1 else None)
    made = board(*rows)._replace(fresh=Fresh([], None, 26.0, {}, [contest] * groups, settle))
    column = column_of(made, "above")
    assert column.title == title
    assert [column.cell(each) for each in rows] == ["+1.0% [+0.5, +1.5]"] * 2 + [""]
    assert [column.value(each) for each in rows] == [0.01, 0.01, None]
    lines = tables.legend(made)
    assert any(line.startswith(f"{title}: ") for line in lines)
    assert any(line.startswith("fresh: val_ppl on 2 to 3 seeds") for line in lines)


def test_what_limits_trust_is_said() -> None:
    plain = board(row(1, 1, True, "best"))
    assert "is worth 12 equal documents" in " ".join(tables.legend(plain._replace(effective_documents=11.9)))
    assert tables.legend(plain._replace(effective_documents=20.0)) == []
    assert "ended under an older rule" in tables.legend(plain._replace(numbered_before=True))[0]


def test_a_bound_of_nothing_is_explained_beside_intervals() -> None:
    first, other = row(1, 1, True, "best")._replace(seeds=3, regret=0.0), row(1, 2)._replace(seeds=3)
    said = [line for line in tables.legend(board(first, other)) if line.startswith("nothing measurable: ")]
    assert "may reach below 0" in "".join(said)
    some = board(first._replace(regret=0.01), other)
    assert not any(line.startswith("nothing measurable") for line in tables.legend(some))


def test_a_board_that_may_change_says_so_and_failures_say_where_to_look() -> None:
    done = board(row(1, 1, True, "best"))
    assert tables.legend(done) == []
    running = done._replace(state="running", name="my sweep", trials={"running": 2, "failed": 1})
    why, final = tables.legend(running)
    assert why == "1 trial failed; why: python -m sweeper show 'my sweep' TRIAL"
    assert final == "Not final: the sweep is running (2 running, 1 failed)."
    (again,) = tables.legend(running._replace(state="complete"))
    assert again == f"{why}; to try again: python -m sweeper retry 'my sweep'"


def test_the_floors_stand_below_the_board() -> None:
    floors = {"unigram_nelbo": 6.3, "bigram_nelbo": 5.3}
    said = tables.legend(board(row(1, 1, True, "best")._replace(metrics=floors)))
    assert said == ["On the same tokens a unigram model has perplexity 544.6, an add-one bigram 200.3."]


def test_the_front_of_several_metrics_is_marked_beside_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    good = row(1, 1, True, "best")._replace(metrics={"seconds": 90.5}, pareto=True)
    dominated = row(2, 2)._replace(metrics={"seconds": 95.25}, pareto=False)
    both = board(good, dominated)._replace(also=("seconds",))
    table = tables.board_table(both, both.rows, [column_of(both, name) for name in chosen(both)])
    columns = dict(zip(table.titles, zip(*table.rows, strict=True), strict=True))
    assert columns["seconds"] == ("90.5", "95.25")
    assert columns["front"] == ("*", "")
    assert any("front: " in line for line in tables.legend(both))
    assert "front" not in drawn([good, dominated], [], 120, monkeypatch)


def test_a_row_that_has_diverged_has_no_hundred_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one whose perplexity no float holds."""
    first = row(1, 1, why="best")
    blown = row(2, 2)._replace(val_ppl=7.6e167, difference=381.2, margin=20.0, regret=401.0)
    beyond = row(3, 3)._replace(val_ppl=None, difference=800.0, margin=5.0, regret=805.0)
    text = drawn([first, blown, beyond], [], 200, monkeypatch, columns=["val_ppl", "above", "regret"])
    assert "7.6e+167" in text
    assert "+3.57e+167% [+7.36e+158, +1.73e+176]" in text
    assert "+inf% [+inf, +inf]" in text
    assert max(len(word) for word in text.split()) < 25
