"""How far figures and tables reach: what has diverged, values of few trials, a sweep of seconds."""

import datetime

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from streamlit import column_config as column

from dashboard.failures import kind_of
from dashboard.figures import scatter, style
from dashboard.figures.cluster import Series, by_class, over_time
from dashboard.huge import printable


def test_a_continuous_value_of_few_trials_is_a_scatter_though_baselines_share_one() -> None:
    low, lr = [0.0, 0.0, 0.2780633631, 0.3447320989], [0.002, 0.002, 0.1, 0.1]
    assert scatter.strips_of(pd.Series(low)) is None
    assert scatter.strips_of(pd.Series(lr)) == ["0.002", "0.1"]
    assert scatter.strips_of(pd.Series([4, 8, 16])) == ["4", "8", "16"]
    assert scatter.strips_of(pd.Series(["cosine", "loglinear"])) == ["cosine", "loglinear"]


def test_what_no_browser_can_place_is_left_out_and_the_rest_is_as_it_was() -> None:
    figure = go.Figure()
    bars = {"array": [0.1, 1e190, 0.1], "arrayminus": [0.1, 0.1, 0.2]}
    figure.add_scatter(x=[0.5, 3.0, 1e168], y=["a", "b", "c"], error_x=bars)
    figure.add_bar(x=[1.0, 1e300], y=["a", "b"], xaxis="x2")  # an axis that finds its own ends
    figure.update_xaxes(range=[0, 1], selector={"anchor": None}).update_layout(xaxis2={})
    style.calm(figure, height=100)
    marks, other = figure.data
    assert list(marks.x[:2]) == [0.5, 3.0]
    assert np.isnan(marks.x[2])
    assert max(marks.error_x.array) == 1e6
    assert tuple(marks.error_x.arrayminus) == (0.1, 0.1, 0.2)
    assert tuple(marks.y) == ("a", "b", "c")
    assert tuple(other.x) == (1.0, 1e300)


def test_dates_and_logarithms_are_not_cut() -> None:
    day = datetime.datetime(2026, 1, 1)
    figure = go.Figure().add_scatter(x=[day], y=[1e30])
    figure.update_xaxes(range=[day, day + datetime.timedelta(1)]).update_yaxes(range=[0, 1], type="log")
    assert style.calm(figure, height=100).data[0].y == (1e30,)


def test_time_is_drawn_over_a_minute_at_least() -> None:
    at = 1_800_000_000.0
    low, high = over_time(
        [Series("a", [at], [1.0]), Series("b", [at + 0.02], [1.0])], "cores"
    ).layout.xaxis.range
    assert (high - low).total_seconds() == pytest.approx(60)
    assert over_time([Series("a", [at, at + 90], [1.0, 1.0])], "cores").layout.xaxis.range is None


def test_a_kind_of_failure_that_did_not_happen_has_no_name_in_the_legend() -> None:
    assert [bar.name for bar in by_class(["diverged"], [2], [0]).data] == ["trials ended so"]
    assert [bar.name for bar in by_class(["lost"], [1], [2]).data] == ["trials ended so", "tried again"]


def test_what_has_diverged_is_a_class_of_its_own() -> None:
    assert kind_of("diverged at step 124: loss 1.513e+07, gradient norm inf") == "diverged"


def test_a_column_with_a_number_that_streamlit_cannot_print_is_one_of_words() -> None:
    table = pd.DataFrame({"a": [1.5, 2.5], "b": [210.654, 7.618e167], "c": [None, 2], "d": ["x", "y"]})
    settings = {"b": column.NumberColumn("val_ppl", format="%.4g", width=76, help="words")}
    found, of = printable(table, settings)
    assert list(found["b"]) == ["210.7", "7.618e+167"]
    assert of["b"]["type_config"]["type"] == "text"
    assert (of["b"]["label"], of["b"]["width"], of["b"]["help"]) == ("val_ppl", 76, "words")
    assert found.drop(columns="b").equals(table.drop(columns="b"))
    assert settings["b"]["type_config"]["type"] == "number"  # the caller's is as it was
    same, as_given = printable(table[["a"]], {})
    assert same.equals(table[["a"]])
    assert as_given == {}
