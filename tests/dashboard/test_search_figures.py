"""The Search page's figures and frames as pure functions."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboard.brush import Span, Words, brushed, places
from dashboard.figures import parallel, ranks, scatter
from dashboard.figures.axes import joint, robust
from dashboard.figures.distribution import distribution
from dashboard.figures.front import front
from dashboard.figures.history import history
from dashboard.figures.importance import effects
from dashboard.figures.rungs import rungs
from dashboard.figures.states import MOST_MARKS, by_state, thinned
from dashboard.figures.timeline import timeline
from dashboard.search.course import UNKNOWN, earlier_attempts, last_attempts, since_last_start
from dashboard.search.together import literal
from sweeper.statistics.course import Rung
from sweeper.statistics.effects import Effect
from sweeper.store.records import EventRecord

HOSTILE = '<a href="javascript:alert(1)">%{x}'
values = st.lists(st.one_of(st.floats(0.1, 1e9), st.just(math.nan), st.just(math.inf)), max_size=40)


@given(values, st.booleans())
def test_an_axis_shows_the_low_end_and_nine_in_ten(found: list[float], log: bool) -> None:
    axis = robust(found, log)
    finite = [each for each in found if math.isfinite(each)]
    if not finite:
        return
    assert axis.low == min(finite)
    assert axis.above == sum(each > axis.high for each in finite) <= math.ceil(0.1 * len(finite))
    assert axis.low <= axis.high < axis.edge
    placed = axis.placed(np.array(found))
    low, high = (10**end if log else end for end in axis.range)
    assert ((placed > low) & (placed < high)).all()  # what is above, infinite or missing stands at the edge
    assert [value for value in found if value <= axis.high] == placed[placed <= axis.high].tolist()
    assert bool(axis.words()) == bool(axis.above)


def test_one_diverged_value_does_not_take_the_axis() -> None:
    axis = robust([100.0, 101, 102, 103, 104, 105, 106, 107, 108, 109, 1e130])
    assert (axis.low, axis.high, axis.above) == (100, 109, 1)
    assert (
        axis.words() == "1 of the values is higher than is drawn, up to 1e+130: it stands at the upper edge."
    )


def test_a_joint_axis_shows_both_groups() -> None:
    axis = joint([[1.0] * 20, [500.0, 501, 502, 503, 504, 505, 506, 507, 508, 509, 1e9], []])
    assert (axis.low, axis.high, axis.above, axis.largest) == (1, 509, 1, 1e9)


@pytest.fixture
def trials() -> pd.DataFrame:
    """Complete, better, failed without a value, pruned below all, and one gone wild."""
    states = ["complete", "complete", "failed", "pruned", "complete"]
    return pd.DataFrame(
        {
            "called": [1, 2, 3, 4, 5],
            "state": states,
            "value": [110.0, 100.0, np.nan, 90.0, 1e130],
            "hover": [HOSTILE, "b", "c", "d", "e"],
        }
    )


def test_history_marks_each_state_and_the_best_is_of_complete_trials(trials: pd.DataFrame) -> None:
    axis = robust(trials["value"])
    figure = history(trials, "PPL", axis)
    line, *marks = figure.data
    assert line.y.tolist() == [110, 100, 100]  # not the pruned one's 90
    assert [trace.name for trace in marks] == ["complete", "pruned", "failed"]
    assert len({trace.marker.symbol for trace in marks}) == 3
    assert marks[2].y.tolist() == [axis.edge]
    assert "<a" not in str(figure.to_plotly_json())
    assert history(trials[:0], "PPL", axis).layout.annotations[0].text == "No trial yet."


@given(st.integers(MOST_MARKS + 1, 3 * MOST_MARKS))
def test_a_figure_has_no_more_marks_than_a_screen_and_keeps_the_best(rows: int) -> None:
    frame = pd.DataFrame({"value": np.random.default_rng(rows).normal(size=rows)})
    found = thinned(frame, "value")
    assert len(found) == MOST_MARKS
    assert found.index.is_monotonic_increasing
    assert frame["value"].nsmallest(MOST_MARKS // 10).index.isin(found.index).all()


def test_states_have_one_order_and_strange_ones_are_shown(trials: pd.DataFrame) -> None:
    strange = trials.assign(state=["zombie", "failed", "complete", "running", "pruned"])
    assert [state for state, _ in by_state(strange)] == ["complete", "running", "pruned", "failed", "zombie"]


def configurations() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "lr": [1e-4, 1e-3, 1e-2, 1e-3],
            "name": ["a", HOSTILE, "a", None],
            "state": ["complete", "failed", "pruned", "running"],
            "val_ppl": [100.0, np.nan, 120.0, np.nan],
            "val_ppl_low": [90.0, np.nan, np.nan, np.nan],
            "val_ppl_high": [110.0, np.nan, np.nan, np.nan],
            "hover": ["a", HOSTILE, "c", "d"],
        }
    )


def test_slices_keep_what_failed_or_was_pruned_and_both_axes_may_be_logarithmic() -> None:
    rows = pd.concat([configurations().assign(lr=configurations()["lr"] * k) for k in (1, 1.1, 1.2)])
    figure = scatter.against(rows.reset_index(drop=True), "lr", log=True, log_x=True)
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    drawn = {trace.name: trace for trace in figure.data}
    assert list(drawn) == ["complete", "pruned", "failed"]  # one that runs without a value has no result yet
    assert min(drawn["failed"].y) > 120
    low, high = figure.layout.yaxis.range
    assert low < math.log10(90) < math.log10(max(drawn["failed"].y)) < high


def test_two_parameters_are_ranked_and_what_has_no_result_is_a_cross() -> None:
    lost, evaluated = ranks.ranks(configurations(), ("lr", "name")).data
    assert (lost.name, lost.marker.symbol) == ("no result", "x")
    assert evaluated.marker.color.tolist() == [1, 0]  # the best is drawn last
    assert list(evaluated.marker.symbol) == ["triangle-down", "circle"]
    assert "<a" not in str(ranks.ranks(configurations(), ("name", "lr")).to_plotly_json())


@given(
    st.lists(st.tuples(st.floats(0, 10), st.sampled_from(["a", "b", None])), max_size=20), st.floats(0, 10)
)
def test_a_brush_keeps_what_lies_in_it(found: list[tuple[float, str | None]], low: float) -> None:
    rows = pd.DataFrame(found, columns=["x", "word"])
    kept = brushed(rows, {"x": Span(low, 10.0), "word": Words(("a", "none"))})
    assert kept.index.tolist() == [
        i for i, (x, word) in enumerate(found) if x >= low - 1e-8 and word in ("a", None)
    ]
    assert len(brushed(rows, {})) == len(rows)


@given(st.lists(st.floats(0.1, 9), min_size=2, max_size=60), st.booleans())
def test_places_of_a_slider_rise_and_reach_all_values(found: list[float], log: bool) -> None:
    for dimension in ({"uniform": [0.1, 9.0]}, {"choice": [1, 2]}, {}):
        stops = places(np.array(found), dimension, log)
        assert stops == sorted(set(stops))
        assert stops[0] <= min(found)
        assert stops[-1] >= max(found)
    assert places(np.array(found), {"uniform": [0.1, 9.0]}, log) == places(
        np.array([1.0]), {"uniform": [0.1, 9.0]}, log
    )  # the same while trials come


def test_a_brush_is_drawn_where_it_keeps() -> None:
    rows = configurations().assign(state="complete", val_ppl=[100.0, 110, 120, 130])
    brushes = {"lr": Span(1e-3, 1e-2), "name": Words(("a",)), "val_ppl": Span(0, 125)}
    (drawn,) = parallel.parallel(rows, ["lr", "name"], ["lr", "name"], brushes, ["lr"]).data
    lr, name, ppl = drawn.dimensions
    assert lr.constraintrange == pytest.approx([-3, -2])
    assert [text.strip(parallel.UNSEEN) for text in lr.ticktext] == ["0.0001", "0.001", "0.01"]
    assert len(set(lr.ticktext)) == len(lr.ticktext)  # by which Plotly knows them
    assert name.ticktext[round(np.mean(name.constraintrange))] == "a"
    assert ppl.constraintrange == pytest.approx([100, 120])  # the values that it keeps, which are ticks
    assert drawn.line.color[0] == max(drawn.line.color)  # the best is drawn on top


def test_importance_tells_chance_apart_in_shape_and_words() -> None:
    found = [(HOSTILE, Effect(0.5, 0.2, 0.7, 40, 3)), ("weak", Effect(0.1, 0.0, 0.3, 40, 3))]
    sure, chance = effects(found).data
    assert (sure.name, chance.name) == ("more than chance", "perhaps chance")
    assert sure.marker.symbol != chance.marker.symbol
    assert sure.error_x.array == pytest.approx([0.2])
    assert "<a" not in str(effects(found).to_plotly_json())


def test_rungs_stand_on_each_other() -> None:
    went, ended = rungs([Rung(50, 9, 6), Rung(100, 3, 1)]).data
    assert [went.y, ended.y] == [(3, 2), (6, 1)]
    assert rungs([]).layout.annotations[0].text == "No trial has been pruned."


def test_a_distribution_ends_below_all_where_trials_have_no_result() -> None:
    results = {HOSTILE: [3.0, 1.0, 2.0, math.nan], "none": [math.nan]}
    (line,) = distribution(results, "PPL", joint(results.values())).data
    assert line.y.tolist() == [0, 0.25, 0.5, 0.75, 0.75]
    assert line.x.tolist()[:4] == [1, 1, 2, 3]
    assert "<a" not in line.name


def test_a_front_is_a_stair_from_the_cheapest_to_the_best() -> None:
    points = pd.DataFrame(
        {
            "x": [2.0, 1, 3],
            "y": [5.0, 9, 9],
            "on_front": [True, True, False],
            "state": "complete",
            "hover": "",
        }
    )
    stair, marks = front(points, ("s", "PPL"), robust(points["x"]), robust(points["y"])).data
    assert list(zip(stair.x, stair.y, strict=True)) == [(1, 9), (2, 5)]
    assert len(marks.x) == 3


def test_attempts_are_bars_of_their_worker(trials: pd.DataFrame) -> None:
    began = pd.DataFrame(
        {
            "trial": [7, 8],
            "called": [1, 2],
            "state": ["complete", "running"],
            "worker": [HOSTILE, "b"],
            "attempt": [2, 1],
            "started": [100.0, 50.0],
            "ended": [130.0, np.nan],
            "hover": ["one", "two"],
        }
    )
    last = last_attempts(began, moment=90.0)
    assert last["ended"].tolist() == [130, 90]
    said = [(10.0, "start"), (40.0, "lost"), (100.5, "start"), (130.0, "end")]
    events = [EventRecord(i, time, 1, 7, kind, "") for i, (time, kind) in enumerate(said)]
    before = earlier_attempts(began, events)
    assert before[["lane", "began", "ended"]].to_numpy().tolist() == [[UNKNOWN, 10, 40]]
    figure = timeline(pd.concat([before, last]), [HOSTILE, UNKNOWN])
    assert {trace.name: list(trace.x) for trace in figure.data} == {"complete": [30_000], "lost": [30_000]}
    assert "<a" not in str(figure.layout.to_plotly_json())


def test_an_attempt_before_the_last_ends_with_it_and_hours_between_two_are_nobodys() -> None:
    """`started` of a trial is that of its first attempt, and it keeps it."""
    began = pd.DataFrame(
        {
            "trial": [7, 8, 9],
            "called": [1, 2, 3],
            "state": ["failed", "complete", "complete"],
            "worker": ["a", "b", "c"],
            "attempt": [2, 2, 1],
            "started": [10.0, 20.0, 30.0],
            "ended": [9010.0, 9020.0, 40.0],
            "hover": ["one", "two", "three"],
        }
    )
    said = [(10, 7, "start"), (12, 7, "failure"), (20, 8, "start"), (29, 8, "control"), (30, 9, "start")]
    said += [(35, None, "pause"), (40, 9, "end"), (9000, 7, "control"), (9000, 7, "retry")]
    said += [(9001, 7, "start"), (9002, 8, "start"), (9010, 7, "failure"), (9020, 8, "end")]
    events = [EventRecord(i, float(time), 1, trial, kind, "") for i, (time, trial, kind) in enumerate(said)]
    last = last_attempts(since_last_start(began, events), moment=9999.0)
    assert last[["began", "ended"]].to_numpy().tolist() == [[9001, 9010], [9002, 9020], [30, 40]]
    before = earlier_attempts(began, events)
    assert before[["state", "began", "ended"]].to_numpy().tolist() == [["failed", 10, 12], ["paused", 20, 35]]
    assert since_last_start(began, [])["started"].tolist() == [10, 20, 30]  # whose events are not known


def test_values_that_flatten_nothing_are_not_cut_off() -> None:
    near = [208.9, 212.1, 212.8, 221.2, 221.3, 222.1]
    assert robust(near).high == 222.1
    assert robust(near).words() == ""
    assert robust([*near, 400.0]).above == 1
    assert robust([*near, 1e6], log=True).above == 1


def test_a_label_is_text_whatever_it_holds() -> None:
    assert literal("[go](http://x) **b**") == r"\[go\]\(http\:\/\/x\) \*\*b\*\*"
    assert literal("finetune lr_2") == "finetune lr_2"
