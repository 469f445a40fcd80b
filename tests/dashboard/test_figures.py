"""Figures and frames as pure functions: what is drawn, and that stored strings are drawn as text."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard import frame, values, words
from dashboard.figures import curves, lines, parallel
from dashboard.figures.intervals import differences, intervals
from dashboard.figures.ranges import BELIEVED, span
from dashboard.figures.scatter import against
from dashboard.figures.style import Line, empty
from dashboard.noise import UnknownNoise, noise_shape

HOSTILE = '<a href="javascript:alert(1)"><img src=x onerror=alert(1)>%{x}'


@pytest.fixture
def rows() -> pd.DataFrame:
    """Four configurations: the lowest, one tied, one behind, one that is still running."""
    return pd.DataFrame(
        {
            "configuration": [3, 1, 2, 4],
            "rank": ["1=", "1=", "3", ""],
            "standing": ["first", "tied", "behind", "not ranked"],
            "race": [""] * 4,
            "above": [0.0, 0.02, 0.18, np.nan],
            "above_margin": [0.0, 0.05, 0.06, np.nan],
            "role": ["search", "baseline", "search", "search"],
            "state": ["complete", "complete", "complete", "running"],
            "finetune.schedule.name": ["gaussian", "loglinear", HOSTILE, "cosine"],
            "finetune.schedule.mu": [0.3, None, None, None],
            "finetune.block_size": [4, 16, 16, 8],
            "val_ppl": [100.0, 102.0, 120.0, np.nan],
            "val_ppl_low": [95.0, 97.0, 115.0, np.nan],
            "val_ppl_high": [106.0, 108.0, 126.0, np.nan],
            "interval": ["[95.00, 106.0]", "[97.00, 108.0]", "[115.0, 126.0]", "–"],
            "confirmed_ppl": [np.nan] * 4,
            "confirmed_low": [np.nan] * 4,
            "confirmed_high": [np.nan] * 4,
            "confirmed_interval": ["–"] * 4,
            "confirmed_seeds": [0, 0, 0, 0],
            "difference": [0.0, 0.02, 0.18, np.nan],
            "why": ["best", "within the error", "", ""],
            "step": [200, 200, 200, 50],
            "seeds": [1, 3, 1, 0],
            "trials": [[5], [1, 2, 3], [4], [6]],
            "note": ["", "", "", ""],
            "label": ["1= | gaussian", "1= | baseline", f"3 | {HOSTILE}", "– | cosine"],
            "hover": ["a", "b", HOSTILE, "d"],
        }
    )


def test_intervals_show_the_first_on_top_and_the_ties_apart(rows: pd.DataFrame) -> None:
    figure = intervals(rows)
    assert [trace.name for trace in figure.data] == ["first", "tied", "behind"]
    assert [list(trace.x) for trace in figure.data] == [[100.0], [102.0], [120.0]]
    assert [list(trace.y) for trace in figure.data] == [[0], [1], [2]]
    assert figure.layout.yaxis.ticktext[0] == "1= | gaussian"
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]  # downwards
    assert figure.data[0].error_x.array[0] == pytest.approx(6.0)
    assert figure.data[0].error_x.arrayminus[0] == pytest.approx(5.0)
    assert [figure.layout.shapes[0].x0, figure.layout.shapes[0].x1] == [95.0, 106.0]


def test_intervals_of_nothing_say_so(rows: pd.DataFrame) -> None:
    assert intervals(rows[3:]).layout.annotations[0].text == "No evaluation yet."
    assert differences(rows[3:]).layout.annotations[0].text == "Nothing is ranked yet."


def test_what_has_no_rank_stands_below_all_that_has_one(rows: pd.DataFrame) -> None:
    running = rows.assign(val_ppl=[100.0, 102.0, 120.0, 90.0]).iloc[[3, 0, 1, 2]]
    figure = intervals(running)
    assert figure.data[-1].name == "not ranked"
    assert list(figure.data[-1].y) == [3]


def test_fresh_seeds_decide_what_an_interval_is_of(rows: pd.DataFrame) -> None:
    told = rows.assign(
        confirmed_ppl=[104.0, 103.0, np.nan, np.nan],
        confirmed_low=[99.0, 98.0, np.nan, np.nan],
        confirmed_high=[109.0, 108.0, np.nan, np.nan],
        standing=["first", "tied", "search only", "not ranked"],
    )
    figure = intervals(told)
    assert [list(trace.x) for trace in figure.data] == [[104.0], [103.0], [120.0]]
    assert [figure.layout.shapes[0].x0, figure.layout.shapes[0].x1] == [99.0, 109.0]


def test_differences_are_percent_above_the_first_each_race_by_itself(rows: pd.DataFrame) -> None:
    figure = differences(rows)
    assert [trace.name for trace in figure.data] == ["first", "tied", "behind"]
    tied = figure.data[1]
    assert tied.x[0] == pytest.approx(100 * np.expm1(0.02))
    assert tied.x[0] - tied.error_x.arrayminus[0] == pytest.approx(100 * np.expm1(0.02 - 0.05))
    assert tied.x[0] + tied.error_x.array[0] == pytest.approx(100 * np.expm1(0.02 + 0.05))
    two = rows.assign(race=["4", "16", "4", ""], standing=["first", "first", "behind", "not ranked"])
    figure = differences(two)
    assert list(figure.data[0].y) == [0, 2]  # no. 3 and 2 of one race, then no. 1 of the other
    assert [shape.y0 for shape in figure.layout.shapes if shape.y0 == shape.y1] == [1.5]


@pytest.mark.parametrize("diverged", [1e260, np.inf])
def test_one_diverged_run_ruins_no_axis(rows: pd.DataFrame, diverged: float) -> None:
    more = rows.assign(
        val_ppl=[100.0, 102.0, diverged, np.nan],
        val_ppl_high=[106.0, 108.0, np.inf, np.nan],
        above=[0, 0.02, 600, np.nan],
    )
    axis = intervals(more).layout.xaxis
    assert 80 < axis.range[0] < axis.range[1] < 130
    assert axis.title.text.endswith("; 1 outside") == np.isfinite(diverged)  # infinite: not drawn at all
    axis = differences(more).layout.xaxis
    assert -20 < axis.range[0] < axis.range[1] < 30
    assert axis.title.text.endswith("; 1 outside")


@given(st.lists(st.floats(allow_nan=True), min_size=1, max_size=20))
def test_an_axis_has_an_end_whatever_it_is_of(found: list[float]) -> None:
    values_N = np.array(found)
    seen = span(values_N, values_N - 1, values_N + 1, 0.1)
    if seen is None:
        assert not (np.abs(values_N) < BELIEVED).any()
        return
    inside = (values_N >= seen.low) & (values_N <= seen.high)
    assert np.isfinite(seen.ends).all()
    assert inside.sum() + seen.outside >= (~np.isnan(values_N)).sum() >= seen.outside


@pytest.mark.parametrize("value", [0.0, 173.5])
def test_one_value_alone_has_an_axis_of_its_unit(value: float) -> None:
    nothing = np.array([np.nan])
    seen = span(np.array([value]), nothing, nothing, 10.0)
    assert seen is not None
    assert seen.low <= value - 0.1 < value + 0.1 <= seen.high


def test_stored_strings_never_become_markup(rows: pd.DataFrame) -> None:
    name = "finetune.schedule.name"
    drawn = [
        intervals(rows),
        differences(rows),
        against(rows, name, colour_by=name),
        parallel.parallel(rows, [name], [HOSTILE]),
        curves.curves([Line(HOSTILE, 1, [1, 2], [3.0, 2.0])], HOSTILE, HOSTILE),
        curves.panel([Line(HOSTILE, 1, [0, 1], [0, 1])], "t", "p"),
        empty(HOSTILE),
    ]
    for figure in drawn:
        text = json.dumps(figure.to_plotly_json(), default=str)
        assert "<a" not in text
        assert "<img" not in text
        assert "&lt;a" in text
        for trace in figure.data:
            if trace.type == "scatter":
                assert "%{x}" not in trace.hovertemplate.replace("%{x:", "")


def test_curves_have_a_colour_a_configuration_and_a_dash_a_seed() -> None:
    runs = [Line("1", 1, [1, 2], [3.0, 2.0]), Line("1b", 1, [1, 2], [3.1, 2.1]), Line("2", 2, [1], [4.0])]
    first, second, third = curves.curves(runs, "NELBO", "nats/token", start=1).data
    assert first.line.color == second.line.color != third.line.color
    assert first.line.dash != second.line.dash
    assert curves.curves([], "NELBO").layout.annotations[0].text == "No NELBO stored for what is chosen."


def test_a_long_curve_is_cut() -> None:
    steps = np.arange(5000)
    (line,) = curves.curves([Line("long", 1, steps, steps)], "x").data
    assert len(line.x) <= lines.MOST_POINTS
    assert line.x[-1] == 4999


def test_few_numbers_and_categories_are_strips_many_numbers_a_scatter(rows: pd.DataFrame) -> None:
    strip = against(rows, "finetune.block_size")
    assert list(strip.layout.xaxis.ticktext) == ["4", "16"]  # in order of size; 8 is not evaluated
    assert sorted(round(x) for x in strip.data[0].x) == [0, 1, 1]
    many = pd.concat([rows.assign(**{"finetune.block_size": size}) for size in range(1, 12)])
    assert against(many, "finetune.block_size").layout.xaxis.ticktext is None
    assert len(against(rows, "finetune.schedule.mu").data[0].x) == 1


def test_parallel_coordinates_are_capped_and_end_in_the_metric(rows: pd.DataFrame) -> None:
    many = pd.concat([rows] * 400, ignore_index=True)
    names = ["finetune.block_size", "finetune.schedule.mu", "finetune.schedule.name"]
    (drawn,) = parallel.parallel(many, names, names).data
    assert len(drawn.line.color) == parallel.MOST_LINES
    assert [dimension.label for dimension in drawn.dimensions] == [*names, "val_ppl"]
    assert drawn.dimensions[1].ticktext[0] == "none"  # a conditional value has a place for its absence


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (123.456, "123.5"),
        (98.7, "98.70"),
        (1204.4, "1,204"),
        (1.5e260, "1.5e+260"),
        (0.01234, "0.01234"),
        (None, "–"),
        (float("inf"), "–"),
    ],
)
def test_numbers_have_four_significant_digits(value: float | None, text: str) -> None:
    assert values.number(value) == text


def test_the_first_is_the_boards_first_row_whatever_is_lower(rows: pd.DataFrame) -> None:
    assert frame.first_value(rows) == ("val_ppl of row 1", 100.0, "[95.00, 106.0]")
    running = rows.assign(rank=[""] * 4)
    assert frame.first_value(running) == ("val_ppl of row 1", None, "–")  # what runs or failed is no first
    raced = rows.assign(
        confirmed_seeds=[5, 5, 0, 0],
        confirmed_ppl=[31.0, 30.5, None, None],
        confirmed_interval=["[30, 32]", "[29.5, 31.5]", "–", "–"],
    )
    assert frame.first_value(raced) == ("val_ppl of row 1, fresh seeds", 31.0, "[30, 32]")
    assert frame.first_value(rows.iloc[:0])[1] is None


def test_ties_are_those_of_the_standing(rows: pd.DataFrame) -> None:
    assert frame.ties(rows) == 1
    assert frame.ties(rows.assign(standing=["first", "tied", "tied (one seed)", "search only"])) == 2


def test_rows_are_sorted_by_any_column_what_is_missing_last(rows: pd.DataFrame) -> None:
    def numbers(name: str, descending: bool = False) -> list[int]:
        return frame.ordered(rows, rows[name], descending)["configuration"].tolist()

    assert numbers("val_ppl", descending=True) == [2, 1, 3, 4]
    assert numbers("finetune.block_size") == [3, 4, 1, 2]
    assert numbers("finetune.schedule.mu") == [3, 1, 2, 4]
    assert numbers("state") == [3, 1, 2, 4]


def test_a_label_says_what_differs_from_the_baseline() -> None:
    usual = {"finetune.schedule.name": "loglinear", "finetune.block_size": 16}
    chosen = {
        "finetune.schedule.name": "gaussian",
        "finetune.schedule.mu": 0.312345,
        "finetune.block_size": 16,
    }
    assert words.label(chosen, usual, "finetune.") == "gaussian · schedule.mu 0.3123"
    assert words.label(usual, usual, "finetune.") == "baseline"


def test_names_lose_the_groups_that_all_share() -> None:
    assert values.common_prefix(["finetune.schedule.mu", "finetune.schedule.name"]) == "finetune.schedule."
    assert values.common_prefix(["finetune.schedule.mu", "finetune.block_size"]) == "finetune."
    assert values.common_prefix(["finetune.lr", "seed"]) == ""


def test_the_nelbo_is_flat_and_a_weight_is_not() -> None:
    plain = noise_shape({})
    assert plain.density.mean() == pytest.approx(1)
    assert plain.emphasis[1:] == pytest.approx(1, abs=0.01)
    cosine = noise_shape({"finetune.schedule.name": "cosine"})
    assert cosine.density.std() > 0.5  # other rates are drawn, and charged so that the bound is the same
    assert cosine.emphasis[2:] == pytest.approx(1, abs=0.02)
    assert noise_shape({"finetune.reweighting.name": "iddpm"}).emphasis.mean() == pytest.approx(
        np.pi / 4, abs=0.01
    )
    clipped = noise_shape({"finetune.clip.low": 0.3, "finetune.clip.high": 0.8})
    assert clipped.density[clipped.p < 0.3].max() == 0
    with pytest.raises(UnknownNoise, match="nosuch"):
        noise_shape({"finetune.schedule.name": "nosuch"})
