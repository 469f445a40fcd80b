"""Zoom as an address has it: what is none is left out, what is one is in the figure when it is drawn anew."""

import re
from datetime import datetime, timedelta

import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from dashboard import zoom
from dashboard.zoom import Zoomed
from tests.dashboard.test_trial_page import opened, spec_of
from tests.sweeper.filled import fill

NUMBERS = st.floats(-1e30, 1e30)


def kept(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(zoom, "_kept", lambda: [found for word in words for found in zoom._read(word)])


@given(st.from_regex(r"[a-z0-9_-]{1,20}", fullmatch=True), st.integers(0, 9), NUMBERS, NUMBERS)
def test_what_is_kept_is_read_again(figure: str, number: int, low: float, high: float) -> None:
    it = Zoomed(figure, f"xaxis{number or ''}", float(f"{low:.9g}"), float(f"{high:.9g}"))
    assert list(zoom._read(it.word)) == ([it] if it.low != it.high else [])


@given(st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)), st.timedeltas(timedelta(milliseconds=1)))
def test_dates_are_read_again(low: datetime, apart: timedelta) -> None:
    it = Zoomed("timeline", "xaxis", low, low + min(apart, timedelta(days=99)))
    assert re.fullmatch(r"[\w.:-]+", it.word)
    assert list(zoom._read(it.word)) == [it]
    # As a browser says them, to 0.1 ms; and as a figure gets them.
    found = [*zoom._made("timeline", "xaxis", *(f"{end:%Y-%m-%d %H:%M:%S.%f}"[:24] for end in it[2:]))]
    assert len(found) == 1
    assert all(abs(a - b) < timedelta(milliseconds=0.1) for a, b in zip(found[0][2:], it[2:], strict=True))
    assert [datetime.fromisoformat(str(end)) for end in it.range] == [it.low, it.high]


@given(st.text())
def test_an_address_may_say_anything(word: str) -> None:
    for each in zoom._read(word):
        assert each.low != each.high


@pytest.mark.parametrize(
    "word",
    [
        "curves:xaxis:1:nan",
        "curves:xaxis:1:1",
        "curves:zaxis:1:2",
        "a:xaxis:1:20270101T00",
        "curves",
        "a:b:c",
    ],
)
def test_what_is_no_zoom_is_nothing(word: str) -> None:
    assert list(zoom._read(word)) == []


def test_only_the_axes_that_a_figure_has_are_zoomed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept(monkeypatch, "a-figure:xaxis2:3:1", "a-figure:yaxis7:0:1", "another:xaxis:0:1")
    figure = go.Figure([go.Scatter(y=[1, 2]), go.Scatter(y=[1, 2], xaxis="x2"), go.Pie(values=[1])])
    found = zoom.zoomed(figure, "a figure")
    assert found.layout.xaxis2.range == (3, 1)
    assert "yaxis7" not in found.layout.to_plotly_json()
    assert found.layout.xaxis.range is None
    assert "xaxis2" not in figure.layout.to_plotly_json()  # it may be somebody else's, too
    assert zoom.zoomed(figure, "unzoomed") is figure


def test_a_link_opens_a_figure_as_it_was_zoomed(url: str) -> None:
    fill(url)
    app: AppTest = opened("leaderboard", zoom="differences:xaxis:-1:2.5")
    assert spec_of(app, "differences")["layout"]["xaxis"]["range"] == [-1, 2.5]
    assert app.query_params["zoom"] in (["differences:xaxis:-1:2.5"], "differences:xaxis:-1:2.5")
