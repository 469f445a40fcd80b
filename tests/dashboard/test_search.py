"""The Search page in Streamlit's own harness: each section, its choices in the address, the old address."""

import math
from contextlib import closing

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import runs
from dashboard.search.sections import SECTIONS
from sweeper.results.savings import pruned
from sweeper.store.followed import Followed
from sweeper.store.queries import Reader
from tests.dashboard.test_state import APP
from tests.sweeper.filled import PRETRAIN, STEPS, fill


def opened(**address: str | list[str]) -> AppTest:
    app = AppTest.from_file(APP, default_timeout=60).run()
    app.switch_page("views/search.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].message
    return app


@pytest.mark.parametrize("section", SECTIONS)
def test_each_section_is_an_address_and_shows_something(section: str, url: str) -> None:
    fill(url)
    app = opened(section=section)
    assert app.header[0].value == "Search"
    assert app.session_state["section"] == section
    assert app.get("plotly_chart")


def test_a_line_to_copy_names_the_store_and_quotes_the_sweep(url: str) -> None:
    fill(url, "two words")
    (line,) = opened(section="Importance").code
    assert line.value == f"python -m sweeper importance 'two words' --db {url}"


def test_the_old_address_leads_to_the_slices(url: str) -> None:
    fill(url)
    app = AppTest.from_file(APP, default_timeout=60).run()
    app.switch_page("views/parameters.py").run()
    assert not app.exception
    assert app.header[0].value == "Search"
    assert app.session_state["section"] == "Slices"


def test_a_brush_filters_the_table_and_leaves_what_was_selected(url: str) -> None:
    fill(url)
    app = opened(section="Parallel")
    everything = app.dataframe[0].value
    app.multiselect(key="keep-finetune.schedule.name").select("gaussian").run()
    kept = app.dataframe[0].value
    assert 0 < len(kept) < len(everything)
    assert set(kept["value 1"]) == {"gaussian"}
    app.session_state["kept-rows"] = ("1",)  # not among those that are kept
    app.run()
    assert app.session_state["kept-rows"] == ("1",)


def test_the_distribution_of_another_sweep_lies_beside(url: str) -> None:
    fill(url)
    fill(url, name="other")
    app = opened(section="Distribution")
    before = app.get("plotly_chart")[0].proto.spec
    (other,) = app.multiselect(key="beside").options
    app.multiselect(key="beside").select(other).run()
    assert not app.exception
    assert app.get("plotly_chart")[0].proto.spec.count('"scattergl"') > before.count('"scattergl"')


def test_runs_are_trials_that_somebody_ran_and_pruning_saved_what_they_had_left(url: str) -> None:
    fill(url)
    with closing(Reader(url)) as reader:
        now = Followed(reader, "schedules")
        now.refresh()
        best = {each.trial: each.best for each in reader.latest(1) if each.name == "val_ppl"}
    trials, values = now.trials, now.values
    found = runs.from_trials(trials, now.latest, values, "val_ppl")
    assert dict(zip(found["trial"], found["value"], strict=True)) == pytest.approx(
        {each: best.get(each, math.nan) for each in found["trial"]}, nan_ok=True
    )
    first = found.iloc[0]
    assert str(first["hover"]).startswith(f"trial {first['called']}: configuration {first['configuration']}")
    assert set(found["trial"]) == {trial.id for trial in trials.values() if trial.repeat_of is None}
    assert len(runs.of_search(found)) == len(found) - 2  # the baseline's other seeds
    (ended,) = found[found["state"] == "pruned"].itertuples()
    assert (ended.first, ended.reached) == (PRETRAIN, 1600)
    saved = pruned(
        trials.values(),
        dict(zip(found["trial"], found["reached"], strict=True)),
        dict.fromkeys(values, PRETRAIN),
    )
    assert saved is not None
    assert (saved.trials, saved.steps) == (1, STEPS - 1600)
    assert saved.cpu_seconds == pytest.approx(0.025 * (STEPS - 1600))
    assert saved.whole == (STEPS - PRETRAIN) * len(found)
    assert saved.words() == "ended 1 trial early: saved 100 of 2,400 steps, 0.0 CPU-minutes"
    complete = [trial for trial in trials.values() if trial.state == "complete"]
    assert pruned(complete, {}, {}) is None
