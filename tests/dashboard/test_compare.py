"""The page that compares: what differs, the paired differences, curves, bins and schedules."""

from contextlib import closing
from itertools import pairwise

import pytest

from sweeper.results.compare import Comparisons, compare
from sweeper.results.leaderboard import leaderboard
from sweeper.store.queries import Reader
from tests.dashboard.test_state import opened
from tests.dashboard.test_views import words
from tests.sweeper.filled import fill


def test_only_what_differs_is_shown_and_differences_are_those_of_compare(url: str) -> None:
    fill(url)
    app = opened(rows="2,3,1")
    app.switch_page("views/compare.py").run()
    assert not app.exception
    sides, pairs = (app.dataframe[i].value for i in (0, 1))
    assert list(sides) == ["name", "no. 2", "no. 3", "no. 1"]
    values = sides.set_index("name").loc[["finetune.schedule.name", "finetune.block_size"]]
    assert (values.nunique(axis=1) > 1).all()
    assert "optimizer.ema" not in set(sides["name"])
    base = next(int(each.value) for each in app.selectbox if each.label == "Against")
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("schedules")
        assert sweep is not None
        trials = {row.configuration: row.trials[0] for row in leaderboard(reader, "schedules").rows}
        for row in pairs.itertuples():
            found = compare(reader, sweep, trials[int(row.configuration.removeprefix("no. "))], trials[base])
            assert row.difference == pytest.approx(found.difference)
            assert (row.low, row.high) == pytest.approx((found.picked_low, found.picked_high))
            assert row.verdict == found.words(picked=True)
    assert "picked by looking at the board" in words(app)
    app.toggle(key="beforehand").set_value(True).run()
    assert "named before the board was seen" in words(app)
    narrow = app.dataframe[1].value
    assert (narrow["high"] - narrow["low"] <= pairs["high"] - pairs["low"]).all()
    assert len(app.get("plotly_chart")) >= 3  # differences, curves, schedules


def test_what_cannot_be_compared_is_said(url: str) -> None:
    fill(url)
    with closing(Reader(url)) as reader:
        rows = leaderboard(reader, "schedules").rows
    failed = next(row.configuration for row in rows if row.state == "failed")
    app = opened(rows=f"1,2,{failed}")
    app.switch_page("views/compare.py").run()
    assert not app.exception
    assert "only what is complete is compared" in words(app)
    assert len(app.dataframe[1].value) == 1


def test_one_row_is_not_compared_with_nothing(url: str) -> None:
    fill(url)
    app = opened(rows="2")
    app.switch_page("views/compare.py").run()
    assert "Select two to eight configurations" in words(app)


def test_pairs_of_one_reading_are_those_of_many(url: str) -> None:
    fill(url)
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("schedules")
        assert sweep is not None
        complete = [row.trials[0] for row in leaderboard(reader, "schedules").rows if row.state == "complete"]
        together = Comparisons(reader, sweep)
        for a, b in pairwise(complete):
            assert together.of(a, b) == compare(reader, sweep, a, b)
