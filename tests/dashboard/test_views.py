"""Every page in Streamlit's own test harness: with a filled store, an empty one and none at all."""

import ast
import base64
import json
import re
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.testing.v1 import AppTest

import dashboard
from sweeper.driver.jobs import StageJob
from sweeper.results.leaderboard import Watched
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow
from sweeper.store.store import Store
from tests.sweeper.driving import make_spec
from tests.sweeper.driving import opened as driven
from tests.sweeper.filled import HOLDER, fill

FOLDER = Path(dashboard.__file__).parent
VIEWS = sorted(path.name for path in (FOLDER / "views").glob("*.py") if path.name != "__init__.py")
FIRST = "answer.py"  # the page that is shown before anybody chooses
HOSTILE = "<img src=x onerror=alert(1)> [go](http://evil.example) **bold** =cmd() $x$ :red[no]"


def opened(view: str = "leaderboard.py") -> AppTest:
    app = AppTest.from_file(str(FOLDER / "app.py"), default_timeout=60).run()
    if view != FIRST and app.header[0].value != "No sweep yet":
        app.switch_page(f"views/{view}").run()
    assert not app.exception, app.exception[0].message
    return app


def words(app: AppTest) -> str:
    return "\n".join(
        str(each.value) for kind in ("header", "text", "caption", "code") for each in app.get(kind)
    )


@pytest.mark.parametrize("finished", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize("view", VIEWS)
def test_every_page_shows_a_filled_store(view: str, finished: bool, url: str) -> None:
    fill(url, finished=finished)
    app = opened(view)
    assert app.header[0].value
    assert app.selectbox(key="sweep").value == "schedules"
    assert app.get("plotly_chart") or app.dataframe or app.code  # or the line that would have made it fit


@pytest.mark.long
@pytest.mark.parametrize("view", VIEWS)
def test_every_page_shows_a_sweep_that_has_no_trial_yet(view: str, url: str) -> None:
    store = Store(url)
    spec = {"space": {"finetune.block_size": {"choice": [4, 8]}}, "search": {"trials": 3}}
    store.create_sweep(name="new", spec_text="name: new\n", spec=spec, code_version="0", folder="files")
    store.close()
    opened(view)


def test_a_missing_store_says_what_to_type_and_is_not_created(url: str, tmp_path: Path) -> None:
    app = opened()
    assert app.header[0].value == "No sweep yet"
    assert "python -m sweeper run schedules" in words(app)
    assert not (tmp_path / "sweeps.db").exists()


def test_an_empty_store_waits_and_then_shows_its_first_sweep(url: str) -> None:
    Store(url).close()
    app = opened()
    assert app.header[0].value == "No sweep yet"
    fill(url)
    assert app.run().header[0].value == "Answer"


def test_the_address_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    from dashboard.data import shown_url, urls

    monkeypatch.setenv("SWEEPER_DB", "postgresql+psycopg://me:secret@host/sweeps")
    assert shown_url(urls()[0]) == "postgresql+psycopg://me:***@host/sweeps"


def test_a_page_says_that_a_sweep_is_being_read(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is, and once; when it is read the line is gone."""
    fill(url)
    order: list[str] = []
    text, board = DeltaGenerator.text, Watched.board
    monkeypatch.setattr(DeltaGenerator, "text", lambda s, said, *a: order.append(said) or text(s, said, *a))
    monkeypatch.setattr(Watched, "board", lambda watched: order.append("") or board(watched))
    app = opened()
    said = [i for i, each in enumerate(order) if "schedules is being read: 12 trials." in each]
    assert len(said) == 1
    assert said[0] < order.index("")
    assert "is being read" not in words(app)


def test_a_pretrain_that_runs_is_on_the_page(url: str, tmp_path: Path) -> None:
    """And goes on there, though nobody commits meanwhile."""
    spec = make_spec("trainer.pretrain.steps=400", "trainer.pretrain.block_size=64", "search.trials=2")
    with driven(url, spec, tmp_path / "files") as driver:
        job = driver.next()
        assert isinstance(job, StageJob)
        Path(job.folder).mkdir(parents=True)
        ledger = Path(job.folder) / "ledger.txt"
        ledger.write_text("1 100\n")
        app = opened()
        assert f"pretrain {job.key}: step 100 of 400" in words(app)
        ledger.write_text("1 300\n")
        assert app.run().get("progress")[1].proto.value == 75
        driver.finish(job)
        assert len(app.run().get("progress")) == 1


def test_the_leaderboard_says_what_is_known_and_no_more(url: str) -> None:
    fill(url)
    app = opened()
    values = {metric.label: metric.value for metric in app.metric}
    table = app.dataframe[0].value
    assert values["Trials ended"] == "10 of 12"
    assert "No answer yet: row 1 (" in words(app)
    tied = [each for (each,) in table["standing"] if each == "tied (one seed)"]
    assert values["Tied with it"] == str(len(tied)) == "5"
    assert table["rank"].tolist()[:2] == ["1=", "1="]
    assert re.fullmatch(r"\[\d+\.\d, \d+\.\d\]", table["interval"].iloc[0])
    assert table["above"].iloc[0] == 0.0
    assert {state for (state,) in table["state"]} == {"complete", "running", "queued", "pruned", "failed"}


def test_a_chosen_configuration_shows_its_trials_values_error_and_log(url: str) -> None:
    fill(url)
    app = opened()
    failed = next(
        number
        for (state,), number in zip(
            *(app.dataframe[0].value[name] for name in ("state", "configuration")), strict=True
        )
        if state == "failed"
    )
    app.session_state["kept-rows"] = (str(failed),)
    app.multiselect(key="states").set_value(["failed"]).run()  # another order, in which it is still selected
    assert f"Configuration {failed}" in [each.value for each in app.subheader]
    assert "the loss is nan at step 1587" in words(app)
    assert any("trial" in frame.value.columns and "attempt" in frame.value.columns for frame in app.dataframe)
    assert any("kind" in frame.value.columns for frame in app.dataframe)
    assert app.get("plotly_chart")


def test_trials_of_a_second_sweep_are_called_by_their_numbers(url: str) -> None:
    """Which are not their ids: what a page calls trial 7 is what `stop --trial 7` stops."""
    fill(url)
    fill(url, name="other")
    with closing(Reader(url)) as reader:
        mine = {each.id: each for each in reader.trials(2)}
    app = AppTest.from_file(str(FOLDER / "app.py"), default_timeout=60)
    app.query_params |= {"sweep": "other", "columns": "configuration,trials"}
    app.switch_page("views/leaderboard.py").run()
    table = app.dataframe[0].value.set_index("configuration")["trials"]
    for configuration, said in table.items():
        its = [t.called for t in mine.values() if t.configuration == configuration and t.repeat_of is None]
        assert said == ", ".join(map(str, its))
    repeat = next(each for each in mine.values() if each.repeat_of is not None)
    app.session_state["kept-rows"] = (str(repeat.configuration),)
    app.run()
    trials = next(each.value for each in app.dataframe if "attempt" in each.value)
    alike = [each for each in mine.values() if each.configuration == repeat.configuration]
    assert trials["trial"].tolist() == [each.called for each in alike]
    assert f"as trial {mine[repeat.repeat_of].called}" in trials["reason"].tolist()
    failed = next(each for each in mine.values() if each.state == "failed")
    app.session_state["kept-rows"] = (str(failed.configuration),)
    app.run()
    assert f"Error of trial {failed.called}" in words(app)
    events = next(each.value for each in app.dataframe if "kind" in each.value)
    assert set(events["trial"].dropna()) <= {failed.called}


def test_a_run_that_has_ended_shows_its_bins_and_no_curve_of_them(url: str) -> None:
    fill(url)
    with closing(Reader(url)) as reader:
        trial = next(each for each in reader.trials(1) if each.state == "running")
    rows = [
        MetricRow(f"{name}/{p}", 300, p) for name in ("bin_share", "bin_nats") for p in (0.05, 0.15, 0.95)
    ]
    with closing(Store(url)) as store:
        assert store.writer(1, HOLDER).add_rows(
            trial.id, trial.attempt, [*rows, MetricRow("val_ppl", 300, 9.0)]
        )
    app = opened()
    app.session_state["kept-rows"] = (str(trial.configuration),)
    app.multiselect(key="states").set_value(["running"]).run()
    assert not app.exception
    assert "By masking rate" in [each.value for each in app.subheader]
    drawn = {chart.proto.id.rpartition("-")[2]: chart for chart in app.get("plotly_chart")}
    assert {"bin_share", "bin_nats"} <= set(drawn)
    assert "bin_masked" not in drawn
    (line,) = json.loads(drawn["bin_nats"].proto.spec)["data"]
    rates, nats = (np.frombuffer(base64.b64decode(line[axis]["bdata"])) for axis in "xy")
    assert rates.tolist() == nats.tolist() == [0.05, 0.15, 0.95]
    options = app.selectbox(key="details_metric").options
    assert "val_ppl" in options
    assert not any(name.startswith("bin_") for name in options)


def test_the_page_follows_what_another_writer_commits(url: str) -> None:
    fill(url)
    app = opened()
    assert "11 of 12" not in {metric.value for metric in app.metric}
    store = Store(url)
    writer = store.writer(1, HOLDER)
    running = next(trial for trial in _trials(url) if trial.state == "running")
    assert writer.end_trial(running.id, running.attempt, "complete")
    store.close()
    assert "11 of 12" in {metric.value for metric in app.run().metric}


def test_an_ended_sweep_is_not_polled(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    every: list[float | None] = []
    fragment = st.fragment
    monkeypatch.setattr(
        st, "fragment", lambda *a, run_every=None, **k: every.append(run_every) or fragment(*a, **k)
    )
    fill(url, finished=True)
    opened()
    assert every[-1] is None  # the page's own, after app.py's two
    st.cache_resource.clear()
    every.clear()
    fill(url, "running")
    opened()
    assert every[-1] == 2


# Those with the most strings; the others are tried with the long tests.
WORDY = ("answer.py", "leaderboard.py", "trial.py", "search.py")


@pytest.mark.parametrize(
    "view", [view if view in WORDY else pytest.param(view, marks=pytest.mark.long) for view in VIEWS]
)
def test_hostile_strings_are_text(view: str, url: str) -> None:
    store = Store(url)
    spec = {"space": {HOSTILE: {"choice": [HOSTILE]}}}
    sweep = store.create_sweep(
        name=HOSTILE, spec_text=HOSTILE, spec=spec, code_version=HOSTILE, folder=HOSTILE
    )
    store.take_lease(sweep.id, HOLDER, 60)
    writer = store.writer(sweep.id, HOLDER)
    configuration = writer.add_configuration("0" * 16, {HOSTILE: HOSTILE, "finetune.schedule.name": HOSTILE})
    empty = {"params": {HOSTILE: HOSTILE}, "distributions": {}, "system_attrs": {}}
    trial = writer.add_trial(configuration=configuration, role="search", seed=0, steps=10, number=0, **empty)
    attempt = writer.start_trial(trial.id, HOSTILE)
    writer.end_trial(trial.id, attempt, "failed", error=HOSTILE, reason=HOSTILE)
    writer.add_event(HOSTILE, HOSTILE, trial.id)
    writer.set_sweep_state("failed", HOSTILE)
    store.close()
    app = opened(view)
    if view == "leaderboard.py":
        app.session_state["kept-rows"] = (str(configuration),)
        app.multiselect(key="states").set_value(["failed"]).run()
        assert HOSTILE in words(app)
    for kind in ("markdown", "caption", "header", "subheader", "title", "html", "metric", "badge"):
        for each in app.get(kind):
            assert "evil.example" not in str(each.proto), kind


def test_no_source_file_can_draw_markup() -> None:
    """What renders HTML, or Markdown from a variable, is not called; one constant rule of style is."""
    for path in FOLDER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                path.name == "app.py"
                and isinstance(node, ast.Assign)
                and ast.unparse(node.targets[0]) == "STYLE"
            ):
                assert isinstance(node.value, ast.Constant)
                assert re.fullmatch(r"<style>[^<]*</style>", node.value.value)
            if path.name == "app.py" and ast.unparse(node) == "st.html(STYLE)":
                continue
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            called = node.func.attr
            assert called not in ("html", "markdown", "write", "MarkdownColumn", "iframe"), (
                f"{path.name}: {called}"
            )
            assert "unsafe_allow_html" not in {keyword.arg for keyword in node.keywords}


def _trials(url: str):
    from sweeper.store.queries import Reader

    reader = Reader(url)
    try:
        return reader.trials(1)
    finally:
        reader.close()
