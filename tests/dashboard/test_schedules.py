"""The Schedules page: what is selected, what came of it, and a noise that nobody has run."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from streamlit.testing.v1 import AppTest

from dashboard.noise import NoiseShape, noise_shape
from dashboard.what_if import bounds
from tests.dashboard.test_views import FOLDER, opened
from tests.sweeper.filled import fill
from trainer.noise.reweighting import REWEIGHTINGS
from trainer.noise.schedules import SCHEDULES
from trainer.values import kind_of

EMPHASIS = st.lists(st.floats(0, 10), min_size=6, max_size=6)


def shape(emphasis: list[float]) -> NoiseShape:
    none = np.zeros(0)
    return NoiseShape(none, none, none, none, none, none, np.array(emphasis), False, 1.0, "bound")


@given(EMPHASIS)
def test_thirds_are_shares_of_all_the_emphasis(emphasis: list[float]) -> None:
    found = shape(emphasis)
    assert sum(found.thirds()) == pytest.approx(1 if any(emphasis) else 0)
    turned = shape(emphasis[::-1])
    assert turned.thirds() == pytest.approx(found.thirds()[::-1])


def test_words_say_where_the_emphasis_lies() -> None:
    assert noise_shape({}).words() == "all masking rates alike"
    clipped = {"finetune.clip.low": 0.5, "finetune.clip.high": 1.0}
    assert noise_shape(clipped).words() == "no light masking"
    assert shape([1, 1, 0, 0, 1, 1]).words() == "no medium masking"
    assert shape([1, 1, 2, 2, 9, 9]).words() == "most on heavy masking"
    assert shape([4, 4, 2, 2, 3, 3]).words() == "more on light masking"
    assert shape([0] * 6).words() == "nothing is charged"


@pytest.mark.parametrize("kind", [*SCHEDULES, *REWEIGHTINGS], ids=kind_of)
def test_both_ends_of_every_slider_are_allowed(kind: type[BaseModel]) -> None:
    for name, field in kind.model_fields.items():
        if isinstance(field.default, float) and not 0 < field.default <= 1e-3:
            low, high = bounds(field)
            assert low <= field.default <= high
            assert getattr(kind(**{name: low}), name) == low
            assert getattr(kind(**{name: high}), name) == high


def test_what_is_selected_is_drawn_with_its_result(url: str) -> None:
    fill(url)
    app = opened("schedules.py")
    assert len(app.dataframe[0].value) == 4  # before anybody chooses
    first = opened("leaderboard.py").dataframe[0].value
    app.session_state["kept-rows"] = ("1",)
    app.run()
    assert app.multiselect(key="drawn").value == [1]
    result = app.dataframe[0].value
    assert len(result) == 1
    assert result["val_ppl"].iloc[0] in first["val_ppl"].tolist()
    app.multiselect(key="drawn").set_value([1, 2]).run()
    assert app.session_state["kept-rows"] == ("1", "2")  # on the other pages, too


@pytest.mark.long
def test_one_that_nobody_has_run_is_drawn_as_its_sliders_say(url: str) -> None:
    fill(url)
    app = opened("schedules.py")
    app.toggle(key="what_if").set_value(True).run()
    assert app.dataframe[0].value["configuration"].iloc[-1] == "not run"
    assert app.dataframe[0].value["emphasises"].iloc[-1] == "all masking rates alike"
    app.slider(key="if_clip").set_value((0.7, 1.0)).run()
    assert app.dataframe[0].value["above"].iloc[-1] == pytest.approx(100)
    for part, kinds in (("schedule", SCHEDULES), ("reweighting", REWEIGHTINGS)):
        for kind in kinds:
            app.selectbox(key=f"if_{part}").set_value(kind_of(kind)).run()
            assert not app.exception, app.exception[0].message
            assert app.dataframe[0].value["configuration"].iloc[-1] == "not run"


def test_one_that_nobody_has_run_stands_in_the_address(url: str) -> None:
    fill(url)
    app = AppTest.from_file(str(FOLDER / "app.py"), default_timeout=60)
    said = {"what_if": "true", "if_schedule": "gaussian", "if_gaussian_mu": "0.9", "if_clip": ["0.4", "0.9"]}
    for name, value in said.items():
        app.query_params[name] = value
    app.run().switch_page("views/schedules.py").run()
    assert app.selectbox(key="if_schedule").value == "gaussian"
    assert app.slider(key="if_gaussian_mu").value == 0.9
    assert app.slider(key="if_clip").value == (0.4, 0.9)
