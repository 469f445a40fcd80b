"""The front, beside the slow and obvious definition; and the board of a sweep of two metrics."""

from contextlib import closing
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sweeper.results.leaderboard import leaderboard
from sweeper.results.pareto import front
from sweeper.store.queries import Reader
from tests.sweeper.driving import TEXT, make_spec, run_to_end

points = st.integers(1, 3).flatmap(
    lambda size: st.lists(st.tuples(*[st.integers(0, 4).map(float)] * size), max_size=12)
)


@given(points)
def test_a_point_is_on_the_front_where_none_beats_it(given: list[tuple[float, ...]]) -> None:
    def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    assert front(given) == [not any(beats(other, each) for other in given) for each in given]


def test_the_board_of_two_metrics_says_what_is_on_the_front(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    # More steps cost more tokens (tests/fakes.py), and end at another value.
    text = TEXT.replace("  finetune.steps: 4\n", "")
    spec = make_spec(
        "metric=[val_ppl, tokens]", "space.finetune.steps={int: [2, 9]}", "search.trials=12", text=text
    )
    run_to_end(url, spec, tmp_path)
    with closing(Reader(url)) as reader:
        board = leaderboard(reader, "test")
    assert board.metric == "val_ppl"
    assert len(board.rows) == 12
    for row in board.rows:
        better = [
            other
            for other in board.rows
            if (other.val_nelbo, other.metrics["tokens"]) != (row.val_nelbo, row.metrics["tokens"])
            and (other.val_nelbo or 0) <= (row.val_nelbo or 0)
            and other.metrics["tokens"] <= row.metrics["tokens"]
        ]
        assert row.pareto == (not better)
    assert {row.pareto for row in board.rows} == {True, False}
    assert board.to_json()["rows"][0]["pareto"] is True


def test_a_board_of_one_metric_says_nothing_of_a_front(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    run_to_end(url, make_spec("search.trials=2"), tmp_path)
    with closing(Reader(url)) as reader:
        assert {row.pareto for row in leaderboard(reader, "test").rows} == {None}
