"""The main figure of the answer: what it draws of each row, and what it leaves out."""

import math

import numpy as np
import pandas as pd
import pytest

from dashboard.figures.differences import absolute, differences
from dashboard.words import STANDINGS

HOSTILE = "<a href='http://evil.example'>click</a>"


def rows(**columns) -> pd.DataFrame:
    table = {
        "label": ["1 | first", f"1= | {HOSTILE}", "3 | behind"],
        "why": ["best", "within the error", ""],
        "difference": [0.0, 0.01, 0.2],
        "margin": [0.0, 0.05, 0.04],
        "p_best": [0.7, 0.3, math.nan],
        "hover": ["one", HOSTILE, "three"],
        **columns,
    }
    return pd.DataFrame(table)


def test_a_row_stands_at_its_share_of_perplexity_with_the_interval_of_its_margin():
    first, tied, behind = (each for each in differences(rows()).data if each.type == "scatter")
    assert (first.name, tied.name, behind.name) == ("first", "tied", "behind")
    assert list(first.x) == [0.0]
    (value,) = tied.x
    assert value == pytest.approx(100 * math.expm1(0.01))
    assert value + tied.error_x.array[0] == pytest.approx(100 * math.expm1(0.06))
    assert value - tied.error_x.arrayminus[0] == pytest.approx(100 * math.expm1(-0.04))
    assert math.isnan(first.error_x.array[0])  # of itself to itself
    assert "http" in tied.customdata[0]
    assert "<a" not in tied.customdata[0]


def test_chances_stand_beside_the_rows_where_any_is_known():
    (chances,) = (each for each in differences(rows()).data if each.type == "bar")
    assert list(chances.x[:2]) == [0.7, 0.3]
    assert list(chances.y) == [0, 1, 2]
    assert not [each for each in differences(rows(p_best=[math.nan] * 3)).data if each.type == "bar"]


def test_a_row_whose_error_is_not_known_is_hollow_and_has_no_bar():
    tied = differences(rows(margin=[0.0, math.nan, 0.04])).data[1]
    assert list(tied.marker.symbol) == ["circle-open"]
    assert math.isnan(tied.error_x.array[0])
    assert "counts from" not in tied.customdata[0]


def test_the_legend_has_the_words_of_the_leaderboard():
    why = ["best", "within the error", "one seed", "screened out", ""]
    drawn = differences(pd.DataFrame({**rows().iloc[[0] * 5].reset_index(), "why": why}))
    assert [each.name for each in drawn.data if each.type == "scatter"] == list(STANDINGS.values())


def test_what_matters_not_is_shaded():
    assert not [each for each in differences(rows()).layout.shapes if each.type == "rect"]
    (band,) = (each for each in differences(rows(), within=0.02).layout.shapes if each.type == "rect")
    assert (band.x0, band.x1) == (-2.0, 2.0)


def test_one_row_that_has_diverged_does_not_flatten_the_others():
    more = {
        "label": [str(i) for i in range(6)],
        "why": ["best", *[""] * 5],
        "hover": ["x"] * 6,
        "p_best": 0.1,
    }
    table = pd.DataFrame({**more, "difference": [0.0, 0.01, 0.02, 0.03, 0.04, 40.0], "margin": [0.01] * 6})
    low, high = differences(table).layout.xaxis.range
    assert low < 0 < 100 * math.expm1(0.04) < high < 100
    assert "; 1 outside" in differences(table).layout.xaxis.title.text
    table = table.assign(ppl=[100.0, 101, 102, 103, 104, 1e19], low=99.0, high=105.0)
    low, high = absolute(table).layout.xaxis.range
    assert low < 99 < 105 < high < 200


def test_a_huge_difference_is_a_number_and_nothing_ranked_is_a_sentence():
    drawn = differences(rows(difference=[0.0, 1e6, np.nan]))
    assert not any(np.isinf(each.x).any() for each in drawn.data if each.type == "scatter")
    assert len(drawn.layout.yaxis.tickvals) == 2
    assert "nothing is ranked" in differences(rows().head(0)).layout.annotations[0].text
