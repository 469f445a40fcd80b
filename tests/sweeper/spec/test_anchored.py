"""Relative paths in a specification, and the folders from which a sweep is run, resumed and read."""

from contextlib import closing
from pathlib import Path

import pytest

from sweeper.execution.runner import run_sweep
from sweeper.spec.anchored import anchored
from sweeper.spec.load import read_spec
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests.sweeper.driving import Silent

TEXT = """
name: placed
trainer:
  data: {name: files, train: texts/train.txt, document: line, length: 32}
  evaluation.zero_shot: [{name: lambada, path: copy}]
always:
  - {finetune.block_size: 4}
  - {finetune.block_size: 8, pretrain.from: weights}
always_seeds: 1
search: {trials: 0}
resources: {cpu: 1, gpu: 0}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for each in ("texts", "copy", "weights", "elsewhere"):
        (tmp_path / each).mkdir()
    (tmp_path / "copy" / "test.parquet").touch()
    (tmp_path / "texts" / "train.txt").write_text("".join(f"A text {i}.\n" for i in range(200)))
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str = TEXT) -> SweepSpec:
    return read_spec(text, "placed.yaml", "placed")


def contents(spec: SweepSpec) -> list[object]:
    return [spec.train_config(entry, 0).content() for entry in spec.always]


def test_a_sweep_read_elsewhere_is_the_same_one(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there, placed = read(), anchored(read())
    assert placed.trainer["data.train"] == str(home / "texts" / "train.txt")
    assert placed.trainer["evaluation.zero_shot"][0]["path"] == str(home / "copy")
    assert placed.always[1]["pretrain.from"] == str(home / "weights")
    assert anchored(placed) == placed
    expected = contents(there)
    monkeypatch.chdir("elsewhere")
    assert contents(SweepSpec.from_resolved(placed.resolved())) == expected
    assert placed.trainer["data.name"] == "files", "what is no path is as it was said"


def test_resumed_elsewhere_by_its_name_it_has_nothing_left(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, progress = f"sqlite:///{home}/s.db", Silent()
    text = TEXT.replace("  - {finetune.block_size: 8, pretrain.from: weights}\n", "")
    spec = anchored(read(text))
    with closing(Store(url)) as store:
        sweep = store.create_sweep(
            name=spec.name, spec_text="", spec=spec.resolved(), code_version="1", folder=str(home / "files")
        )
        store.take_lease(sweep.id, "me", 60)
        store.writer(sweep.id, "me").set_sweep_state("complete", "")
        store.release_lease(sweep.id, "me")
    again = text.replace("always_seeds", "reference: {title: Printed, rows: [{row: one}]}\nalways_seeds")
    assert run_sweep(read(again), url, home / "files", progress) == 5
    assert progress.lines == ["sweep placed has ended already: nothing is left to run"]
    with closing(Reader(url)) as reader:
        found = reader.sweep("placed")
    assert found is not None
    assert found.spec["reference"]["title"] == "Printed", "what it is held against may change after its end"
    assert (found.state, found.lease_holder) == ("complete", None)
    monkeypatch.chdir("elsewhere")
    stored = SweepSpec.from_resolved(found.spec)
    assert run_sweep(stored, url, home / "files", progress) == 5
    assert len(progress.lines) == 2, "no change is seen"
