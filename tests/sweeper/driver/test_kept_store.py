"""A store and its files, written by an earlier tree and killed in mid-trial, are gone on with by this one.

tests/sweeper/kept/before_the_wings.tar.xz is what version 0.1.0 left (schema 3, really trained): `cut/`, the
spec.yaml that made it, and in whole.json what the same tree came to undisturbed. Two baselines, TPE, median
pruning, confirmation; killed in mid-trial 7.
"""

import json
import math
import sqlite3
import tarfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.execution.registration import register
from sweeper.files.remote import Unsaid
from sweeper.results.judge import judge
from sweeper.spec.load import load_spec
from sweeper.spec.spec import SweepSpec
from sweeper.store.asks import Answer, Question, ask
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.driving import drive, opened, told

KEPT = Path(__file__).parents[1] / "kept" / "before_the_wings.tar.xz"
TRAIN = "trainer.training.train"
LAST_DIGITS = 1e-4  # the archive was trained on another machine
ANOTHER_MACHINE = 0.02  # and so was all of whole.json


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    with tarfile.open(KEPT) as archive:
        archive.extractall(tmp_path, filter="data")
    files = tmp_path / "cut" / "files"
    with closing(sqlite3.connect(tmp_path / "cut" / "sweeps.db")) as database:
        ((was,),) = database.execute("SELECT folder FROM sweeps").fetchall()
        database.execute("UPDATE sweeps SET folder = ?", (str(files),))
        database.execute("UPDATE stages SET folder = replace(folder, ?, ?)", (was, str(files)))
        database.commit()
    return tmp_path


def test_it_goes_on_and_ends_as_the_tree_that_wrote_it_would_have(kept: Path) -> None:
    gone_on = told_of_then(go_on(kept), kept)
    whole = json.loads((kept / "whole.json").read_text())
    assert_close(json.loads(json.dumps(gone_on)), whole, ANOTHER_MACHINE)


@pytest.mark.long
def test_it_goes_on_and_ends_as_an_undisturbed_sweep(kept: Path) -> None:
    gone_on, whole = go_on(kept), f"sqlite:///{kept}/whole.db"
    with closing(Reader(gone_on)) as reader:
        record = reader.sweep("kept")
        assert record is not None
    with opened(whole, SweepSpec.from_resolved(record.spec), kept / "whole") as driver:
        drive(driver, train=TRAIN)
    assert_close(told_of_then(gone_on, kept), told_of_then(whole, kept), LAST_DIGITS)


def told_of_then(url: str, kept: Path) -> dict[str, Any]:
    """By the metrics that the tree which wrote it had: this one reports more."""
    then, found = json.loads((kept / "whole.json").read_text()), told(url, "kept")
    found["rows"] = {name: rows for name, rows in found["rows"].items() if name in then["rows"]}
    found["best"] = [row for row in found["best"] if row.name in then["rows"]]
    return found


def go_on(kept: Path) -> str:
    """To its end; the store's URL."""
    url = f"sqlite:///{kept}/cut/sweeps.db"
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        sweep = register(
            load_spec(kept / "spec.yaml"), Unsaid(str(kept / "elsewhere")), store, reader, pytest.fail
        )
        (running,) = [trial for trial in reader.trials(sweep.record.id) if trial.state == "running"]
        done = reader.last_step(running.id)
    assert not sweep.ended
    assert not sweep.changed
    with opened(url, sweep.spec, kept / "cut" / "files") as driver:
        drive(driver, train=TRAIN)
    trained = (kept / "cut" / "files" / "trials" / "1" / str(running.id) / "ledger.txt").read_text().split()
    again = [int(step) for attempt, step in zip(trained[::2], trained[1::2], strict=True) if attempt == "2"]
    assert min(again) > done, "what a checkpoint holds is not trained again"
    return url


def assert_close(a: Any, b: Any, within: float) -> None:
    """Equal, but for what was measured: that is within a relative error."""
    if isinstance(a, float) and isinstance(b, float):
        assert math.isclose(a, b, rel_tol=within, abs_tol=1e-6), (a, b)
    elif isinstance(a, Mapping):
        assert a.keys() == b.keys()
        for key in a:
            assert_close(a[key], b[key], within)
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_close(one, other, within)
    elif isinstance(a, str) and a[:1] in ("{", "[") and a != b:  # a document, whose numbers are meant
        assert_close(json.loads(a), json.loads(b), within)
    elif isinstance(a, str) and "val_ppl" in a:
        assert a.split("val_ppl")[0] == b.split("val_ppl")[0]  # a pruned trial's reason has values in it
    else:
        assert a == b


def test_its_pairs_can_be_judged_once_it_is_migrated(kept: Path) -> None:
    url = f"sqlite:///{kept}/cut/sweeps.db"
    Store(url).close()
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("kept")
        assert sweep is not None
        complete = {each.trial for each in reader.evaluations(sweep.id, "valid")}
        first = {t.configuration: t.id for t in reversed(reader.trials(sweep.id)) if t.id in complete}
        (one, a), (other, b), *_ = sorted(first.items())
        question = Question(sweep.id, "after", one, other, "runs", 0.0, [0, 1])
        asked, _ = ask(url, question, lambda number: Answer(0.025, "keep", -0.1, -0.2, -0.05))
        assert reader.asks(sweep.id) == [asked]
        assert judge(reader, sweep, a, b).difference == -judge(reader, sweep, b, a).difference
