"""What a person chose is kept over a change of page and in the address; of another sweep it is forgotten."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard import data
from tests.dashboard.test_views import words
from tests.sweeper.filled import fill

APP = str(Path(dashboard.__file__).parent / "app.py")


def opened(view: str = "", **address: str) -> AppTest:
    """view: another page than the first, as by its own address."""
    app = AppTest.from_file(APP, default_timeout=60)
    if view:
        app.switch_page(f"views/{view}.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def test_an_address_is_a_view(url: str) -> None:
    fill(url)
    app = opened(rows="2,1")
    assert app.session_state["kept-rows"] == ("2", "1")
    assert app.query_params["sweep"] in ("schedules", ["schedules"])  # also the first of the list
    app.switch_page("views/curves.py").run()
    assert app.session_state["kept-rows"] == ("2", "1")
    assert app.query_params["rows"] in ("2,1", ["2,1"])


def test_rows_of_another_sweep_are_forgotten(url: str) -> None:
    fill(url)
    fill(url, name="other")
    app = opened(rows="2,1", sweep="schedules")
    app.selectbox(key="sweep").set_value("other").run()
    assert "kept-rows" not in app.session_state
    assert "rows" not in app.query_params


def test_a_sweep_that_is_not_there_is_said_to_be_missing(url: str) -> None:
    fill(url)
    assert "There is no sweep 'nosuch' here" in words(opened(sweep="nosuch"))


def test_two_stores_are_one_list(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(url)
    second = f"sqlite:///{tmp_path}/second.db"
    fill(second)
    monkeypatch.setenv("SWEEPER_DB", f"{url}\n{second}")
    app = opened()
    options = app.selectbox(key="sweep").options
    assert options == [f"schedules ({second})", f"schedules ({url})"]
    assert app.session_state["store-url"] == second


def test_a_stores_path_may_have_spaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my sweeps").mkdir()
    first, second = (f"sqlite:///{tmp_path}/my sweeps/{name}.db" for name in "ab")
    monkeypatch.setenv("SWEEPER_DB", f"{first}\n\n {second}\n{first}\n")
    assert data.urls() == [first, second]
    monkeypatch.setenv("SWEEPER_DB", " \n")
    assert data.urls() == [data.DEFAULT_URL]


VIEWS = sorted(each.stem for each in Path(APP).parent.glob("views/[a-z]*.py"))
FEW = ("answer", "schedules", "metrics", "sweeps")  # the others are tried with the long tests


@pytest.mark.parametrize(
    "view", [view if view in FEW else pytest.param(view, marks=pytest.mark.long) for view in VIEWS]
)
def test_a_store_that_moves_away_and_comes_back(view: str, url: str, tmp_path: Path) -> None:
    fill(url)
    app = opened(view)
    title, file, elsewhere = app.header[0].value, tmp_path / "sweeps.db", tmp_path / "elsewhere.db"
    file.rename(elsewhere)
    said = words(app.run())
    assert "cannot be read now" in said or "is gone" in said
    assert not app.exception
    elsewhere.rename(file)
    said = words(app.run())
    assert app.header[0].value == title
    assert "cannot be read now" not in said
    assert "is gone" not in said


def test_a_store_in_the_place_of_another_is_no_silent_change(url: str, tmp_path: Path) -> None:
    fill(url)
    other = f"sqlite:///{tmp_path}/other.db"
    fill(other, name="another")
    app = opened(sweep="schedules")
    (tmp_path / "sweeps.db").rename(tmp_path / "elsewhere.db")
    (tmp_path / "other.db").rename(tmp_path / "sweeps.db")
    said = words(app.run())
    if app.selectbox(key="sweep").value == "schedules":  # the file that is open is the old one until then
        said = words(app.run())
    assert not app.exception
    assert "There is no sweep 'schedules' here. Another is shown." in said
    assert app.selectbox(key="sweep").value == "another"


@pytest.mark.long
def test_a_sweep_that_is_deleted_while_it_is_shown(url: str, tmp_path: Path) -> None:
    fill(url)
    app = opened()
    with closing(sqlite3.connect(tmp_path / "sweeps.db")) as connection, connection:
        connection.execute("DELETE FROM sweeps")
    app.run()
    assert not app.exception
    assert app.header[0].value == "No sweep yet"


@pytest.mark.long
def test_of_two_stores_one_goes_away(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(url)
    fill(second := f"sqlite:///{tmp_path}/second.db")
    monkeypatch.setenv("SWEEPER_DB", f"{url}\n{second}")
    app = opened(sweep=f"schedules ({url})")
    (tmp_path / "sweeps.db").rename(tmp_path / "elsewhere.db")
    said = words(app.run())
    assert not app.exception
    assert app.selectbox(key="sweep").value == f"schedules ({url})"  # still the one that was chosen
    assert "cannot be read now" in said
    assert len(app.selectbox(key="sweep").options) == 2


@pytest.mark.long
def test_the_chosen_sweep_stays_where_another_store_gets_one_of_its_name(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(url)
    fill(second := f"sqlite:///{tmp_path}/second.db", name="other")
    monkeypatch.setenv("SWEEPER_DB", f"{url}\n{second}")
    app = opened(sweep="schedules")
    assert app.selectbox(key="sweep").value == "schedules"
    fill(second)
    said = words(app.run())
    assert app.selectbox(key="sweep").value == f"schedules ({url})"
    assert "Another is shown" not in said
