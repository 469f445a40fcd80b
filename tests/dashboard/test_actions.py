"""What may a visitor ask? Nothing without --actions and a token; else a row of `controls`, and no more."""

from contextlib import closing
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard import actions, doors
from sweeper.driver.jobs import TrialJob
from sweeper.store.queries import Reader
from sweeper.store.records import ControlRecord
from tests.dashboard.test_views import words
from tests.sweeper.driving import advance, make_spec
from tests.sweeper.driving import opened as driven
from tests.sweeper.filled import fill

APP = str(Path(dashboard.__file__).parent / "app.py")
ASKED = ("Stop", "Pause", "Resume", "Extend", "Settle", "Retry")


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness has no cookies: the visitor is taken to have brought the token."""
    monkeypatch.setattr(doors, "actions_allowed", lambda cookies: True)


def opened() -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60)
    app.session_state["commands"] = True  # the panel, which is drawn when it is opened
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def buttons(app: AppTest) -> list[str]:
    return [each.label for each in app.button if str(each.key).startswith("act-")]


def controls(url: str) -> list[ControlRecord]:
    with closing(Reader(url)) as reader:
        return reader.controls(1)


def test_the_panel_is_drawn_when_it_is_opened(url: str) -> None:
    fill(url)
    app = AppTest.from_file(APP, default_timeout=60).run()
    assert not app.sidebar.code
    app.session_state["commands"] = True
    assert app.run().sidebar.code


def test_without_the_option_there_are_lines_to_copy(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(url)
    monkeypatch.setenv(doors.ACTIONS, "yes")  # alone: nobody is asked for a token
    app = opened()
    assert buttons(app) == []
    lines = [each.value for each in app.sidebar.code]
    assert lines[0] == f"python -m sweeper stop schedules --db {url}"
    assert lines[3] == f"python -m sweeper extend schedules --trials +10 --db {url}"


def test_what_is_sure_is_asked(url: str, allowed: None) -> None:
    fill(url)
    app = opened()
    assert buttons(app) == list(ASKED)
    app.button(key="act-Stop").click().run()
    assert f"python -m sweeper stop schedules --db {url}" in words(app)
    assert controls(url) == []  # not before it is said twice
    app.button(key="act-sure").click().run()
    assert not app.exception
    (asked,) = controls(url)
    assert (asked.verb, asked.trial) == ("stop", None)
    assert asked.who.startswith("dashboard of ")
    assert "asked to stop, by dashboard of " in words(app)


def test_one_confirmation_asks_once_however_often_its_click_is_carried_out(
    url: str, allowed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that is cut off by the page's own redrawing leaves the click to the next."""
    fill(url)
    ask = actions._ask
    monkeypatch.setattr(actions, "_ask", lambda *sure: (ask(*sure), ask(*sure)))
    app = opened()
    for times in (1, 2):
        app.button(key="act-Extend").click().run()
        app.button(key="act-sure").click().run()
        assert [each.verb for each in controls(url)] == ["extend +10"] * times


@pytest.mark.long
def test_more_is_asked_of_a_trial_or_with_numbers(url: str, allowed: None) -> None:
    fill(url)
    app = opened()
    app.button(key="act-Extend").click().run()
    app.button(key="act-sure").click().run()
    number = next(each for each in app.number_input if each.label == "Trial")
    number.set_value(10).run()  # it has failed
    assert buttons(app) == ["Retry"]
    app.button(key="act-Retry").click().run()
    assert f"python -m sweeper retry schedules 10 --db {url}" in words(app)
    app.button(key="act-sure").click().run()
    assert [(each.verb, each.trial) for each in controls(url)] == [("extend +10", None), ("retry", 10)]


@pytest.mark.long
def test_a_sweep_that_nobody_drives_is_said_to_be(url: str, allowed: None) -> None:
    fill(url, finished=True)
    app = opened()
    app.button(key="act-Stop").click().run()
    assert "Nobody drives schedules, so there is nobody to ask." in words(app)
    assert "act-sure" not in [each.key for each in app.button]
    app.button(key="act-Settle").click().run()
    said = words(app)
    assert "What is asked waits, and this line carries it out:" in said
    assert f"python -m sweeper resume schedules --db {url}" in said
    assert f"python -m sweeper settle schedules --within 1% --seeds 8 --db {url}" in said
    app.button(key="act-sure").click().run()
    assert [each.verb for each in controls(url)] == ["settle within=1% seeds=8"]


@pytest.mark.long
def test_what_cannot_be_settled_is_said_in_a_sentence(url: str, allowed: None) -> None:
    fill(url)
    app = opened()
    app.button(key="act-Settle").click().run()
    app.text_input[-1].set_value("half a percent").run()
    assert "act-sure" not in [each.key for each in app.button]
    assert controls(url) == []


@pytest.mark.long
def test_nothing_is_asked_once_the_token_is_gone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page that was drawn for a visitor who had it is clicked by one who has it no more."""
    fill(url)
    brought = [True]
    monkeypatch.setattr(doors, "actions_allowed", lambda cookies: brought[0])
    app = opened()
    app.button(key="act-Stop").click().run()
    brought[0] = False
    app.button(key="act-sure").click().run()
    assert controls(url) == []


@pytest.mark.long
def test_a_driver_carries_it_out_and_says_whose_wish_it_was(url: str, tmp_path: Path, allowed: None) -> None:
    with driven(url, make_spec("search.trials=2"), tmp_path / "files") as driver:
        job = driver.next()
        assert isinstance(job, TrialJob)
        app = opened()
        next(each for each in app.number_input if each.label == "Trial").set_value(job.trial).run()
        assert buttons(app) == ["Stop", "Pause"]
        app.button(key="act-Stop").click().run()
        app.button(key="act-sure").click().run()
        assert driver.poll()
        Path(job.folder).mkdir(parents=True)
        assert not advance(driver, job, job.run("tests.fakes", "cpu"))
        assert driver.states() == {"stopped": 1}
        assert "asked to" not in words(app.run())  # it is done
    with closing(Reader(url)) as reader:
        (said,) = [each for each in reader.events(1) if each.kind == "control"]
    assert said.text.startswith(f"asked to stop trial {job.trial}, by dashboard of ")
    assert said.trial == job.trial
