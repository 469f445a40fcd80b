"""from sweeper import open_store: frames of what the store has, and the snippets of docs/results.md."""

import math
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sweeper import open_store
from sweeper.results.leaderboard import leaderboard
from sweeper.results.notebook import Results
from sweeper.store.queries import Reader
from tests.sweeper import filled

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    filled.fill(f"sqlite:///{folder}/sweeps.db")
    return folder


@pytest.fixture
def store(folder: Path) -> Iterator[Results]:
    with open_store(f"sqlite:///{folder}/sweeps.db") as opened:
        yield opened


def test_the_board_is_the_leaderboard(store: Results, folder: Path) -> None:
    with closing(Reader(f"sqlite:///{folder}/sweeps.db")) as reader:
        board = leaderboard(reader, "schedules")
    frame = store.board("schedules")
    assert store.answer("schedules") == board.to_json()["answer"]["text"]
    assert list(frame["configuration"]) == [row.configuration for row in board.rows]
    assert [None if math.isnan(rank) else rank for rank in frame["rank"]] == [row.rank for row in board.rows]
    assert set(board.searched) <= set(frame.columns)
    assert "finetune.lr" not in frame.columns  # the same for all


def test_trials_configurations_events_and_sweeps(store: Results) -> None:
    trials = store.trials("schedules")
    assert len(trials) == 12  # the repeat is left out
    assert trials.loc[4, "finetune.schedule.name"] == "cosine"
    assert trials.loc[9, "state"] == "pruned"
    assert trials.loc[4, "val_nelbo"] == pytest.approx(math.log(trials.loc[4, "val_ppl"]))
    configurations = store.configurations("schedules")
    assert configurations.loc[trials.loc[4, "configuration"], "finetune.block_size"] == 8
    assert list(store.events("schedules")["kind"])[:1] == ["start"]
    sweeps = store.sweeps()
    assert list(sweeps["name"]) == ["schedules"]
    assert sweeps.loc[0, "trials"] == 12


def test_a_metric_that_there_is_none_of_is_an_error(store: Results) -> None:
    with pytest.raises(ValueError, match=r"there is no metric val_pppl; did you mean val_ppl\?"):
        store.curve("schedules", "val_pppl")
    assert store.curve("schedules", "gen_ppl").empty  # there is such a metric, and nobody measured it


def test_the_store_is_that_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWEEPER_DB", f"sqlite:///{folder}/sweeps.db")
    with open_store() as store:
        assert list(store.sweeps()["name"]) == ["schedules"]
    monkeypatch.delenv("SWEEPER_DB")
    monkeypatch.chdir(folder)
    with open_store() as store:
        assert list(store.sweeps()["name"]) == ["schedules"]


def test_curves_have_a_column_for_each_trial(store: Results) -> None:
    curve = store.curve("schedules", "val_ppl", trials=[4, 9])
    assert list(curve.columns) == [4, 9]
    assert list(curve.index) == [1550, 1600, 1650, 1700]
    assert curve[9].notna().sum() == 2  # pruned at 1600
    assert set(store.curve("schedules").columns) >= {1, 4, 9}


def test_what_is_not_there_is_a_sentence(store: Results, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no sweep schedule in this database; there are: schedules"):
        store.trials("schedule")
    with pytest.raises(ValueError, match="there is no sweep nope"):
        store.board("nope")
    with pytest.raises(ValueError, match="schedules has no trial 99"):
        store.curve("schedules", trials=[99])
    with pytest.raises(ValueError, match="there is no database"):
        open_store(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


def test_without_pandas_it_says_what_to_install(store: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    for frame in (store.sweeps, lambda: store.board("schedules"), lambda: store.curve("schedules")):
        with pytest.raises(ImportError, match=r"needs the Python package pandas.*extra \[dashboard\]"):
            frame()
    assert store.answer("schedules")  # a text needs none


def test_the_snippets_of_the_documentation_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = (ROOT / "docs" / "results.md").read_text()
    snippets = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(snippets) == 2
    names: dict[str, object] = {}
    for snippet in snippets:  # one notebook
        exec(snippet, names)
    assert {"store", "board", "curve", "trials"} <= names.keys()
