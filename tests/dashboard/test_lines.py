"""What is done to curves before they are drawn, and how several metrics are drawn side by side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.figures.curves import Axes, Panel, multiples
from dashboard.figures.lines import MOST_POINTS, along, averaged, seen, smoothed, thinned
from dashboard.figures.style import REST, Line

FINITE = st.floats(-1e6, 1e6)


@given(st.lists(FINITE, min_size=1), st.floats(0, 0.99))
def test_smoothing_stays_between_the_values_and_keeps_a_constant(values: list[float], weight: float) -> None:
    line = Line("a", 1, range(len(values)), values)
    found = np.asarray(smoothed(line, weight).y)
    room = 1e-9 * max(map(abs, values))
    assert found[0] == pytest.approx(values[0])
    assert (min(values) - room <= found).all()
    assert (found <= max(values) + room).all()
    assert list(smoothed(line, 0.0).y) == values


def test_smoothing_is_the_exponential_mean_and_leaves_gaps_out() -> None:
    found = smoothed(Line("a", 1, [1, 2, 3], [1.0, np.nan, 4.0]), 0.5).y
    assert found[0] == 1
    assert np.isnan(found[1])
    assert found[2] == pytest.approx((0.25 * 1 + 0.5 * 4) / 0.75)


def test_a_mean_is_of_those_that_have_come_so_far_in_a_band_of_all() -> None:
    mean = averaged(
        [Line("s0", 7, [0, 10, 20], [4.0, 2.0, 1.0]), Line("s1", 7, [0, 10], [6.0, 4.0])], "no. 7"
    )
    assert (mean.label, mean.group) == ("no. 7", 7)
    assert list(mean.x) == [0, 10, 20]
    assert list(mean.y) == [5.0, 3.0, 1.0]
    assert mean.low is not None
    assert mean.high is not None
    assert (list(mean.low), list(mean.high)) == ([4.0, 2.0, 1.0], [6.0, 4.0, 1.0])
    between = averaged([Line("s0", 7, [0, 10], [4.0, 2.0]), Line("s1", 7, [5], [9.0])], "")
    assert list(between.y) == [4.0, 6.0, 2.0]  # a curve is straight between two of its points


def test_along_tokens_a_branch_begins_at_0_and_its_pretrain_ends_there() -> None:
    branch = along(Line("b", 1, [110, 120], [3.0, 2.0]), [(110, 5000.0), (120, 10000.0)])
    assert list(branch.x) == [5000, 10000]
    tokens = [(step, 100.0 * step) for step in (25, 50, 75, 100)]
    assert list(along(Line("p", -1, [50, 100], [5.0, 4.0]), tokens, until=100).x) == [-5000, 0]
    # One that is half way is where it will have been.
    assert list(along(Line("p", -1, [25, 50], [5.0, 4.0]), tokens[:2], until=100).x) == [-7500, -5000]
    assert not len(along(Line("p", -1, [50], [5.0]), []).x)


@given(st.integers(1, 9000))
def test_a_curve_keeps_its_end_and_at_most_so_many_points(count: int) -> None:
    kept = thinned(Line("a", 1, np.arange(count), np.arange(count)))
    assert len(kept.x) <= MOST_POINTS
    assert kept.x[-1] == count - 1
    assert len(kept.x) > min(count, MOST_POINTS) // 2 - 1


def test_what_diverged_is_off_the_axis_and_nothing_else_is() -> None:
    calm = [Line(str(i), i, [1, 2, 3], [300.0, 40.0, 30.0]) for i in range(2)]
    assert seen(calm) is None
    assert seen([*calm, Line("d", 9, [1, 2], [50.0, 1e260])]) == (30.0, 300.0, ["what diverged"])
    assert seen([*calm, Line("d", 9, [1, 2], [np.inf, np.nan])]) is None
    figure = multiples([Panel("PPL", "", [*calm, Line("d", 9, [1, 2], [50.0, 1e260])])], Axes())
    low, high = figure.layout.yaxis.range
    assert low < 30 < 300 < high < 400
    assert "what diverged is off the axis" in [each.text for each in figure.layout.annotations]
    log = multiples([Panel("PPL", "", [*calm, Line("d", 9, [1, 2], [50.0, 1e260])])], Axes(log_y=True))
    assert log.layout.yaxis.range[1] < 3  # of log10
    assert not multiples([Panel("PPL", "", calm)], Axes()).layout.annotations


def test_a_long_pretrain_leaves_half_of_the_width_to_what_branches_from_it() -> None:
    before = Line("pretrain", -1, [0, 500, 900], [9000.0, 90.0, 80.0])
    runs = [Line(str(i), i, [910, 1000], [230.0 + i, 165.0 + i]) for i in range(3)]
    figure = multiples([Panel("PPL", "", [before, *runs])], Axes(start=900))
    low, high = figure.layout.xaxis.range
    assert low == 800
    assert 1000 < high < 1010
    low, high = figure.layout.yaxis.range
    assert 150 < low < 165  # the pretrain's 80 presses nothing flat, and the page says where it is
    assert "the pretrain is off the axis" in [each.text for each in figure.layout.annotations]
    near = multiples([Panel("loss", "", [before._replace(y=[9.0, 5.0, 180.0]), *runs])], Axes(start=900))
    assert near.layout.yaxis.range[1] > 230
    assert "off the axis" not in str(near.layout.annotations)
    short = multiples([Panel("PPL", "", [Line("pretrain", -1, [850], [80.0]), *runs])], Axes(start=900))
    assert short.layout.xaxis.range is None
    log = multiples([Panel("PPL", "", [before, *runs])], Axes(start=900, log_x=True))
    assert log.layout.xaxis.range is None


def test_of_many_lines_the_legend_names_the_groups() -> None:
    many = [
        Line(f"no. {c}, seed {s}", c, [1, 2], [2.0, 1.0], of=f"no. {c}") for c in range(3) for s in range(4)
    ]
    figure = multiples([Panel("NELBO", "", many)], Axes())
    assert [trace.name for trace in figure.data if trace.showlegend] == ["no. 0", "no. 1", "no. 2"]
    assert len({trace.legendgroup for trace in figure.data}) == 3  # a click hides all seeds
    few = multiples([Panel("NELBO", "", many[:4])], Axes())
    assert [trace.name for trace in few.data if trace.showlegend] == [line.label for line in many[:4]]


def test_a_configuration_looks_alike_in_every_panel_and_stands_once_in_the_legend() -> None:
    first, second = Line("no. 1", 1, [1, 2], [2.0, 1.0]), Line("no. 2", 2, [1, 2], [3.0, 2.0])
    before = Line("pretrain", -1, [0, 1], [5.0, 4.0])
    figure = multiples([Panel("NELBO", "nats", [before, first, second]), Panel("Loss", "", [second])], Axes())
    assert [trace.name for trace in figure.data if trace.showlegend] == ["pretrain", "no. 1", "no. 2"]
    colours: dict[str, set[str]] = {}
    for trace in figure.data:
        colours.setdefault(trace.name, set()).add(trace.line.color)
    assert all(len(each) == 1 for each in colours.values())
    assert len(set.union(*colours.values())) == 3
    assert colours["pretrain"] == {REST}
    assert figure.layout.xaxis2.matches == "x"  # zoomed together
    assert [figure.layout.yaxis.title.text, figure.layout.yaxis2.title.text] == ["NELBO, nats", "Loss"]


def test_a_band_and_what_was_smoothed_are_no_lines_of_their_own() -> None:
    mean = averaged([Line("a", 1, [1, 2], [2.0, 1.0]), Line("b", 1, [1, 2], [4.0, 3.0])], "no. 1")
    band, line = multiples([Panel("NELBO", "", [mean])], Axes()).data
    assert (band.fill, band.hoverinfo, line.fill) == ("toself", "skip", None)
    assert list(band.y) == [4.0, 3.0, 1.0, 2.0]
    raw = Line("a", 1, [1, 2], [2.0, 1.0])
    faint, drawn = multiples([Panel("NELBO", "", [smoothed(raw, 0.9)], faint=[raw])], Axes()).data
    assert faint.opacity < drawn.opacity
    assert (faint.hoverinfo, faint.showlegend) == ("skip", False)


@pytest.mark.parametrize("log", [False, True])
def test_the_finetune_begins_at_a_mark_on_either_axis(log: bool) -> None:
    figure = multiples(
        [Panel("NELBO", "", [Line("a", 1, [1, 1000], [2.0, 1.0])])], Axes(log_x=log, start=100)
    )
    assert figure.layout.shapes[0].x0 == 100
    assert figure.layout.annotations[0].x == (2 if log else 100)
    assert figure.layout.xaxis.type == ("log" if log else "linear")
    at_0 = multiples(
        [Panel("N", "", [Line("a", 1, [-5, 5], [2.0, 1.0])])], Axes("tokens", log_x=log, start=0)
    )
    assert len(at_0.layout.shapes) == (0 if log else 1)
