"""The Trial and Curves pages in Streamlit's own test harness: addresses, files, samples, the log."""

import base64
import json
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import dashboard
from dashboard import data
from dashboard.snapshot import Snapshot
from sweeper.driver.jobs import StageJob
from sweeper.files.trial_files import files_of
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.dashboard.test_theme import THEME
from tests.dashboard.test_views import HOSTILE, words
from tests.sweeper.driving import make_spec
from tests.sweeper.driving import opened as driven
from tests.sweeper.filled import BASE, HOLDER, fill

FOLDER = Path(dashboard.__file__).parent


def opened(page: str, **address: str) -> AppTest:
    app = AppTest.from_file(str(FOLDER / "app.py"), default_timeout=60).run()
    app.switch_page(f"views/{page}.py")
    for name, value in address.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def spec_of(app: AppTest, name: str) -> dict:
    """The figure of that key."""
    (found,) = [each for each in app.get("plotly_chart") if each.proto.id.endswith(f"-{name}")]
    return json.loads(found.proto.spec)


def values_of(axis: dict) -> list[float]:
    return np.frombuffer(base64.b64decode(axis["bdata"]), axis["dtype"]).tolist()


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The filled store's folders are relative."""
    monkeypatch.chdir(tmp_path)


def meanwhile(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the page has begun to draw itself a trial is added."""
    chosen = data.chosen

    def once() -> Snapshot:
        now = chosen()
        monkeypatch.setattr("dashboard.data.chosen", chosen)
        with closing(Store(url)) as store:
            said: dict = {"params": {}, "distributions": {}, "system_attrs": {}}
            writer = store.writer(1, HOLDER)
            configuration = writer.add_configuration("new", BASE)
            writer.add_trial(configuration=configuration, role="search", seed=0, steps=10, **said)
        return now

    monkeypatch.setattr("dashboard.data.chosen", once)


def test_a_trial_that_is_added_is_offered(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(url)
    app = opened("trial")
    before = app.selectbox(key="trial_called-1").options
    meanwhile(url, monkeypatch)
    assert len(app.run().selectbox(key="trial_called-1").options) == len(before) + 1


def test_the_first_trial_is_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Store(url)) as store:
        spec = {"space": {"finetune.block_size": {"choice": [4, 8]}}, "search": {"trials": 3}}
        store.create_sweep(name="new", spec_text="name: new\n", spec=spec, code_version="0", folder="files")
        store.take_lease(1, HOLDER, 3600)
    app = opened("trial")
    assert "No trial has been proposed yet." in words(app)
    meanwhile(url, monkeypatch)
    assert len(app.run().selectbox(key="trial_called-1").options) == 1


@pytest.fixture
def run(url: str) -> Path:
    """The folder of trial 1 of a filled store."""
    fill(url)
    with closing(Reader(url)) as reader:
        sweep = reader.sweeps()[0]
        folder = Path(files_of(sweep, reader.trials(sweep.id)[0]).folder)
        stage = Path(str(reader.stages()[0].folder))
    folder.mkdir(parents=True)
    stage.mkdir(parents=True, exist_ok=True)
    values = [{"train_loss": 9.0 - i / 50, "tokens": 1000.0 * i, "seconds": i / 10} for i in range(1, 151)]
    rows = [{"step": 10 * i, "values": each, "evaluations": []} for i, each in enumerate(values, 1)]
    (stage / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_an_address_names_a_trial_and_its_seeds_are_beside_it(run: Path) -> None:
    app = opened("trial", trial="2")
    assert "complete; baseline; seed 1; configuration 1" in words(app)
    assert "Branched from pretrain 0000000000000001: complete, 1,500 steps" in words(app)
    (seeds,) = app.get("button_group")
    assert [option.content for option in seeds.proto.options] == [
        f"seed {seed}: trial {seed + 1}" for seed in range(3)
    ]
    assert app.query_params["trial"] in (["2"], "2")


@pytest.mark.parametrize("asked", ["99", "x", "-1", "9" * 40, HOSTILE])
def test_a_trial_that_is_not_there_is_said_to_be_missing(asked: str, run: Path) -> None:
    app = opened("trial", trial=asked)
    assert "There is no trial" in words(app)
    assert "configuration" in words(app)


def test_a_failed_trial_shows_its_error_events_and_that_its_files_are_gone(url: str) -> None:
    fill(url)
    with closing(Reader(url)) as reader:
        failed = next(trial for trial in reader.trials(1) if trial.state == "failed")
    app = opened("trial", trial=str(failed.called))
    assert "the loss is nan at step 1587" in words(app)
    assert "which is not there" not in words(app)  # is drawn when it is opened
    app = opened("trial", trial=str(failed.called), trial_files="true")
    assert "which is not there" in words(app)
    assert any("failed" in list(table.value.get("kind", [])) for table in app.dataframe)


def test_values_are_what_is_set_and_defaults_are_marked(run: Path) -> None:
    app = opened("trial", trial="4")
    few = app.dataframe[0].value
    app.toggle(key="trial_defaults").set_value(True).run()
    every = app.dataframe[0].value
    assert set(few["name"]) <= set(every["name"])
    assert "default" not in set(few["searched"])
    assert few["searched"].iloc[0] == "searched"


def test_samples_are_played_and_are_text(run: Path) -> None:
    sample = {"text": HOSTILE, "words": ["<bos>", "to", HOSTILE], "passes": [0, 2, 1]}
    (run / "samples.jsonl").write_text(json.dumps(sample) + "\n" + json.dumps({"text": "an older one"}))
    app = opened("trial", trial="1")
    assert f"<bos>to{HOSTILE}" in words(app)
    app.slider(key="pass-1-1").set_value(0).run()
    assert "<bos>░░░" in words(app)
    assert "before the first pass: 1 given, 2 masked" in words(app)
    app.button[-1].click().run()
    assert app.slider(key="pass-1-1").value == 1
    assert f"<bos>░░{HOSTILE}" in words(app)
    assert app.button[-1].label == "Stop"
    app.button[-1].click().run()
    assert app.button[-1].label == "Play"
    app.number_input(key="sample-1").set_value(2).run()
    assert "an older one" in words(app)
    assert "not in the file" in words(app)
    for kind in ("markdown", "caption", "header", "subheader"):
        assert not any("evil.example" in str(each.proto) for each in app.get(kind)), kind


def test_the_log_is_searched(run: Path) -> None:
    (run.parent / "ray.log").write_text("one apple\ntwo pears\nthree Apples\n")
    app = opened("trial", trial="1", trial_log_open="true")
    app.text_input(key="trial_log").set_value("apple").run()
    assert "2 of the last 3 lines" in words(app)
    assert "one apple\nthree Apples" in words(app)
    assert "two pears" not in words(app)


def test_curves_are_of_the_rows_that_are_chosen_on_any_page(run: Path) -> None:
    app = opened("curves", rows="2,1,999", curve_pretrain="false")
    assert app.multiselect[0].value == [2, 1]
    names = {trace["name"] for trace in spec_of(app, "curves")["data"]}
    assert {name.partition(" ")[2].partition(" ")[0] for name in names} == {"1", "2"}
    app.multiselect[0].unselect(1).run()
    assert app.query_params["rows"] in (["2"], "2")
    app.toggle(key="curve_mean").set_value(True).run()
    assert {
        trace["name"].partition(" ")[2].partition(" ")[0] for trace in spec_of(app, "curves")["data"]
    } == {"2"}


def test_a_pretrain_is_drawn_before_its_branches_where_its_files_are_here(run: Path) -> None:
    app = opened("curves", rows="1", curve_metrics="train_loss", curve_x="tokens")
    lines = spec_of(app, "curves")["data"]
    assert lines[0]["name"] == "pretrain 00000000"
    assert "seed" in lines[-1]["name"]
    (mark,) = spec_of(app, "curves")["layout"]["shapes"]
    assert mark["x0"] == 0
    app.toggle(key="curve_pretrain").set_value(False).run()
    assert not any("pretrain" in trace["name"] for trace in spec_of(app, "curves")["data"])


def test_a_pretrain_that_runs_has_a_curve_before_any_trial_has_one(url: str, tmp_path: Path) -> None:
    spec = make_spec("trainer.pretrain.steps=400", "trainer.pretrain.block_size=64", "search.trials=2")
    with driven(url, spec, tmp_path / "files") as driver:
        job = driver.next()
        assert isinstance(job, StageJob)
        Path(job.folder).mkdir(parents=True)
        row = {"step": 10, "values": {"train_loss": 7.0}, "evaluations": []}
        (Path(job.folder) / "rows.jsonl").write_text(json.dumps(row) + "\n")
        app = opened("curves")
        (line,) = spec_of(app, "curves")["data"]
        assert line["name"] == f"pretrain {job.key[:8]}"
        with (Path(job.folder) / "rows.jsonl").open("a") as file:
            file.write(json.dumps({**row, "step": 20}) + "\n")
        (line,) = spec_of(app.run(), "curves")["data"]
        assert values_of(line["x"]) == [10, 20]


def test_a_pretrain_whose_files_are_elsewhere_is_said_to_be(url: str) -> None:
    fill(url)
    assert "Not on this machine, and so not drawn: the curves of 3 pretrains." in words(opened("curves"))


def test_a_configuration_leads_to_its_trials(run: Path) -> None:
    app = opened("leaderboard", rows="1")
    app.session_state["configuration"] = 1
    app.session_state["states"] = ["complete"]
    app.run()
    app.button(key="open-2").click().run()
    assert app.header[0].value == "Trial"
    assert "seed 1; configuration 1" in words(app)


def test_defaults_are_grey_and_each_part_is_in_order(run: Path) -> None:
    table = opened("trial", trial_defaults="true").dataframe[0]
    for _, part in table.value[table.value["searched"] != "searched"].groupby("searched"):
        assert part["name"].is_monotonic_increasing
    marks = list(table.value["searched"])
    styles = table.proto.arrow_data.styler.styles
    assert THEME["light"]["grayTextColor"] in styles
    for mark, is_grey in (("default", True), ("searched", False)):
        assert (f"row{marks.index(mark)}_col0" in styles) == is_grey
