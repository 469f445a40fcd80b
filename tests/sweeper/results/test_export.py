"""export: what is written is what the store has, whole or not at all."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import optuna
import pyarrow as pa
import pytest
from pyarrow import csv, parquet
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.results.export import _column, export
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord
from tests.sweeper import filled, postgres
from tests.sweeper.driving import make_spec, run_to_end

STAGED = ("trainer.pretrain.steps=2", "trainer.pretrain.block_size=64", "search.trials=5")
TABLES = ("trials", "configurations", "metrics", "events", "stages")


def call(*words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words])


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("driven")
    url = f"sqlite:///{folder}/s.db"
    run_to_end(
        url, make_spec(*STAGED, "always=[{finetune.block_size: 16}]", "always_seeds=1"), folder / "files"
    )
    return url


@pytest.fixture
def reader(driven: str) -> Iterator[Reader]:
    with closing(Reader(driven)) as opened:
        yield opened


def the_sweep(reader: Reader, name: str = "test") -> SweepRecord:
    sweep = reader.sweep(name)
    assert sweep is not None
    return sweep


def test_every_table_holds_what_the_store_has(driven: str, reader: Reader, tmp_path: Path) -> None:
    result = call(
        "export", "test", "--out", str(tmp_path / "out"), "--format", "both", "--db", driven, "--json"
    )
    assert result.exit_code == 0, result.stderr
    files = [Path(file).name for file in json.loads(result.stdout)["files"]]
    assert sorted(files) == sorted(f"{table}.{format}" for table in TABLES for format in ("parquet", "csv"))
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted(files)
    read = {name: parquet.read_table(tmp_path / "out" / f"{name}.parquet") for name in TABLES}

    sweep = the_sweep(reader)
    trials = reader.trials(sweep.id)
    assert read["trials"].column("id").to_pylist() == [trial.id for trial in trials]
    assert [json.loads(text) for text in read["trials"].column("params").to_pylist()] == [
        trial.params for trial in trials
    ]
    rows = reader.metric_rows([trial.id for trial in trials])
    assert rows
    assert [tuple(row.values()) for row in read["metrics"].to_pylist()] == rows
    found = {
        row.pop("configuration"): {k: v for k, v in row.items() if v is not None}
        for row in read["configurations"].to_pylist()
    }
    values = reader.configurations(sweep.id)
    assert found == {
        id: {k: json.dumps(v) if isinstance(v, list) else v for k, v in each.items() if v is not None}
        for id, each in values.items()
    }
    assert read["stages"].column("key").to_pylist() == sorted(
        {trial.stage for trial in trials if trial.stage}
    )
    assert read["events"].num_rows == len(reader.events(sweep.id, limit=10_000))
    for name in TABLES:
        text = csv.read_csv(tmp_path / "out" / f"{name}.csv")
        assert text.num_rows == read[name].num_rows
        assert text.column_names == read[name].column_names


def test_columns_of_several_kinds_are_json() -> None:
    assert _column([1, None, 2.5]).to_pylist() == [1.0, None, 2.5]
    assert _column([1, "a", None]).to_pylist() == ["1", '"a"', None]
    assert _column([True, False]).type == pa.bool_()
    assert _column([[1, 2], None]).to_pylist() == ["[1, 2]", None]
    assert _column([True, 1]).to_pylist() == ["true", "1"]


def test_an_export_that_breaks_leaves_the_earlier_files(
    reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = the_sweep(reader)
    export(reader, sweep, tmp_path, ("parquet", "csv"))
    before = {file.name: file.read_bytes() for file in tmp_path.glob("metrics.*")}
    monkeypatch.setattr("sweeper.results.export.BATCH", 2)
    real, calls = reader.metric_rows, []

    def breaks(trials: Any) -> Any:
        calls.append(trials)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return real(trials)

    monkeypatch.setattr(reader, "metric_rows", breaks)
    with pytest.raises(OSError, match="No space"):
        export(reader, sweep, tmp_path, ("parquet", "csv"))
    assert {file.name: file.read_bytes() for file in tmp_path.glob("metrics.*")} == before
    assert not list(tmp_path.glob("*.new"))


def test_an_empty_sweep_has_empty_tables(tmp_path: Path) -> None:
    from sweeper.store.store import Store

    url = f"sqlite:///{tmp_path}/empty.db"
    with closing(Store(url)) as store:
        store.create_sweep(name="none", spec_text="", spec={}, code_version="", folder="files")
    assert call("export", "none", "--out", str(tmp_path), "--format", "both", "--db", url).exit_code == 0
    assert all(parquet.read_table(tmp_path / f"{name}.parquet").num_rows == 0 for name in TABLES)


def test_a_folder_that_cannot_be_is_a_sentence(driven: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = call("export", "test", "--out", str(tmp_path / "file" / "out"), "--db", driven)
    assert result.exit_code == 7
    assert result.stderr == f"cannot write to {tmp_path}/file/out: Not a directory\n"
    assert call("export", "test", "--db", driven).exit_code == 2


# --- Optuna ---------------------------------------------------------------------------------------
def test_the_study_is_the_search(driven: str, reader: Reader, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/optuna.db"
    result = call("export", "test", "--optuna", url, "--db", driven)
    assert (result.exit_code, result.stderr) == (0, "")
    study = optuna.load_study(study_name="test", storage=url)
    assert study.direction == optuna.study.StudyDirection.MINIMIZE
    assert study.metric_names == ["val_ppl"]

    sweep = the_sweep(reader)
    best = {row.trial: row.best for row in reader.latest(sweep.id) if row.name == "val_ppl"}
    searched = [trial for trial in reader.trials(sweep.id) if trial.number is not None]
    assert [trial.number for trial in study.trials] == [trial.number for trial in searched]
    for exported, trial in zip(study.trials, searched, strict=True):
        original = trial.repeat_of or trial.id
        assert exported.params == trial.params
        assert {
            k: optuna.distributions.distribution_to_json(d) for k, d in exported.distributions.items()
        } == (trial.distributions)
        assert exported.state.name.lower() == trial.state == "complete"
        assert exported.value == best[original]
        assert exported.intermediate_values == dict(reader.curve([original], "val_ppl")[original])
        assert exported.user_attrs["trial"] == trial.id

    again = call("export", "test", "--optuna", url, "--db", driven)
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr == "there is a study named test in this database already\n"


def test_a_search_that_optuna_refuses_leaves_no_study(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/f.db"
    filled.fill(url)  # its distributions change from trial to trial
    result = call("export", "schedules", "--optuna", f"sqlite:///{tmp_path}/o.db", "--db", url)
    assert result.exit_code == 2
    assert result.stderr.startswith("Optuna does not take this search: ")
    assert optuna.get_all_study_names(f"sqlite:///{tmp_path}/o.db") == []


@pytest.mark.parametrize("bad", ["nonsense", "postgresql+psycopg://u:secretpw@127.0.0.1:1/none"])
def test_a_database_that_cannot_be_opened_is_a_sentence(bad: str, driven: str) -> None:
    result = call("export", "test", "--optuna", bad, "--db", driven)
    assert result.exit_code == 2
    assert result.stderr.startswith("Optuna cannot open this database")
    assert "secretpw" not in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.long
@pytest.mark.skipif(postgres.binaries() is None, reason="no PostgreSQL server is installed")
def test_from_postgresql(tmp_path: Path) -> None:
    binaries = postgres.binaries()
    assert binaries is not None
    with postgres.server(binaries) as url:
        filled.fill(url, finished=True)
        assert call("export", "schedules", "--out", str(tmp_path), "--db", url).exit_code == 0
        assert parquet.read_table(tmp_path / "metrics.parquet").num_rows > 100
        assert call("stages", "--db", url).stdout.splitlines()[1].rstrip().endswith("schedules (8)")
        assert call("compare", "schedules", "1", "4", "--db", url).exit_code == 0


def test_what_is_there_and_no_file_is_written_to(reader: Reader, tmp_path: Path) -> None:
    sweep = the_sweep(reader)
    export(reader, sweep, tmp_path / "plain", ["csv"])
    out = tmp_path / "out"
    out.mkdir()
    os.mkfifo(out / "trials.csv")
    (out / "stages.csv").symlink_to("/dev/null")
    (tmp_path / "elsewhere.csv").write_text("old")
    (out / "events.csv").symlink_to(tmp_path / "elsewhere.csv")
    read: list[bytes] = []
    reading = Thread(target=lambda: read.append((out / "trials.csv").read_bytes()))
    reading.start()
    export(reader, sweep, out, ["csv"])
    reading.join(timeout=60)
    assert read == [(tmp_path / "plain" / "trials.csv").read_bytes()]
    assert stat.S_ISFIFO((out / "trials.csv").stat().st_mode)
    assert stat.S_ISCHR((out / "stages.csv").stat().st_mode)
    assert (out / "events.csv").is_symlink()
    assert (tmp_path / "elsewhere.csv").read_text() == (tmp_path / "plain" / "events.csv").read_text()
    assert sorted(each.name for each in out.iterdir()) == sorted(f"{table}.csv" for table in TABLES)
