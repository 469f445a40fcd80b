"""What is mirrored is what the store holds, read back by the real libraries; and nothing twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner, Result

from sweeper.cli import main as cli
from sweeper.results.leaderboard import leaderboard
from sweeper.store import notes
from sweeper.store.queries import Reader
from sweeper.store.records import MetricRow
from sweeper.store.store import Store
from sweeper.trackers.base import Tracker
from sweeper.trackers.union import TRACKERS
from tests.sweeper import filled

ROOT = Path(__file__).parents[3]


class Seen(NamedTuple):
    """What a library reads of a run."""

    rows: list[tuple[str, int, float]]  # sorted; one that is there twice stands twice
    params: dict[str, str]
    facts: dict[str, str]


def of_tensorboard(folder: Path) -> tuple[dict[str, Seen], str]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.metadata import (
        SESSION_START_INFO_TAG,
        parse_session_start_info_plugin_data,
    )

    def read(run: Path) -> Any:
        return EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0}).Reload()

    def texts(events: Any) -> dict[str, str]:
        metadata = events.summary_metadata
        tags = [tag for tag in events.Tags()["tensors"] if metadata[tag].plugin_data.plugin_name == "text"]
        last = {tag: events.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in tags}
        return {tag: text for tag, text in last.items() if text}

    found = {}
    for run in (folder / "runs" / "schedules").glob("trial-*"):
        events = read(run)
        rows = [
            (tag, each.step, each.value) for tag in events.Tags()["scalars"] for each in events.Scalars(tag)
        ]
        begun = events.summary_metadata[SESSION_START_INFO_TAG].plugin_data.content
        params = {
            name: str(getattr(value, value.WhichOneof("kind")))
            for name, value in parse_session_start_info_plugin_data(begun).hparams.items()
        }
        found[run.name] = Seen(sorted(rows), params, texts(events))
    answers = read(folder / "runs" / "schedules" / "answer")
    assert len(answers.Tensors("answer")) == 1
    return found, texts(answers)["answer"]


def of_mlflow(folder: Path) -> tuple[dict[str, Seen], str]:
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/ml.db")
    experiment = client.get_experiment_by_name("schedules")
    found = {}
    for run in client.search_runs([experiment.experiment_id]):
        rows = [
            (name, each.step, each.value)
            for name in run.data.metrics
            for each in client.get_metric_history(run.info.run_id, name)
        ]
        assert run.info.run_name not in found
        facts = {
            name: run.data.tags[name]
            for name in ("state", "attempt", "role", "tags", "reason")
            if name in run.data.tags
        }
        found[run.info.run_name] = Seen(sorted(rows), run.data.params, facts)
    return found, experiment.tags["mlflow.note.content"]


def records(content: bytes) -> Iterator[bytes]:
    """Of a log in LevelDB's format, behind a header of 7 bytes: blocks of 32 KiB, records in up to several
    parts, each with checksum (4 bytes), length (2) and kind (1: whole, 2: first, 3: middle, 4: last)."""
    block, at, whole = 1 << 15, 7, b""
    while at + 7 <= len(content):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""


def of_wandb(folder: Path) -> tuple[dict[str, Seen], str]:
    """Of a run that is not sent yet: its file's own records."""
    from wandb.proto.wandb_internal_pb2 import Record

    found, answers = {}, []
    for file in (folder / "wandb").glob("offline-run-*/*.wandb"):
        name = ""
        rows: list[tuple[str, int, float]] = []
        params: dict[str, str] = {}
        summary: dict[str, Any] = {}
        for data in records(file.read_bytes()):
            record = Record.FromString(data)
            name = record.run.display_name or name
            params |= {each.key: str(json.loads(each.value_json)) for each in record.run.config.update}
            values = {
                each.key or ".".join(each.nested_key): json.loads(each.value_json)
                for each in record.history.item
            }
            rows += [
                (key, int(record.history.step.num), value)
                for key, value in values.items()
                if not key.startswith("_")
            ]
            summary |= {each.key: json.loads(each.value_json) for each in record.summary.update if each.key}
        if name == "answer":
            answers.append(summary["answer"])
            continue
        assert name not in found
        facts = {
            key: summary[key] for key in ("state", "attempt", "role", "tags", "reason") if key in summary
        }
        found[name] = Seen(sorted(rows), params, facts)
    (answer,) = answers
    return found, answer


READ: dict[str, Callable[[Path], tuple[dict[str, Seen], str]]] = {
    "tensorboard": of_tensorboard,
    "mlflow": of_mlflow,
    "wandb": of_wandb,
}
FACTS = ("state", "attempt", "role", "tags", "reason")
CALLS = {  # of the library, that write: where a process is killed
    "tensorboard": "tensorboard.summary.writer.event_file_writer.EventFileWriter.add_event",
    "mlflow": "mlflow.MlflowClient.log_batch",
    "wandb": "wandb.Run.log",
}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of MLflow's, which it takes seconds to make."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("mlflow") / "ml.db"
    MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture(params=TRACKERS, ids=[each.word for each in TRACKERS])
def word(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    tracker: type[Tracker] = request.param
    if find_spec(tracker.word) is None:
        pytest.skip(f"{tracker.word} is not installed: the extra [trackers]")
    if tracker.word == "mlflow":
        shutil.copy(request.getfixturevalue("tables"), tmp_path / "ml.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEPER_DB", f"sqlite:///{tmp_path}/s.db")
    monkeypatch.setenv("WANDB_MODE", "offline")
    return tracker.word


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def place(word: str) -> str:
    """In the folder that this is called from."""
    places = {"tensorboard": "runs", "mlflow": f"sqlite:///{Path.cwd()}/ml.db", "wandb": "project"}
    return f"{word}:{places[word]}"


def follow(word: str, *more: str) -> Result:
    result = CliRunner().invoke(cli.app, ["follow", "schedules", "--to", place(word), *more])
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def check(word: str, url: str, folder: Path, names: set[str] | None = None) -> None:
    """That each run that has begun is there, once, as the store has it. names: of those alone."""
    found, answer = READ[word](folder)
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("schedules")
        assert sweep is not None
        trials = [each for each in reader.trials(sweep.id) if each.repeat_of is None and each.attempt]
        wanted = {f"trial-{each.called}": each for each in trials}
        assert set(found) == (set(wanted) if names is None else names)
        values, tags = reader.configurations(sweep.id), notes.standing(reader.notes(sweep.id))
        for name, seen in found.items():
            trial = wanted[name]
            rows = sorted(row[1:] for row in reader.metric_rows([trial.id]))
            assert [row[:2] for row in seen.rows] == [row[:2] for row in rows], name
            stored = [row[2] for row in rows]
            assert [row[2] for row in seen.rows] == pytest.approx(stored, rel=1e-6)  # TensorBoard: float32
            own = values[trial.configuration]
            assert {key: text for key, text in seen.params.items() if key.endswith(".name")} == {
                key: value for key, value in own.items() if key.endswith(".name")
            }
            assert set(own) | {"seed"} <= set(seen.params)
            assert seen.facts["state"] == trial.state
            assert seen.facts.get("tags", "") == ", ".join(tags.get(trial.id, ()))
        assert answer == "\n".join(each.text for each in leaderboard(reader, "schedules").answers)


def test_a_sweep_that_has_ended_is_there_once_however_often_it_is_mirrored(
    word: str, url: str, tmp_path: Path
) -> None:
    filled.fill(url, finished=True)
    notes.tag(url, 1, ["paper"], 4)
    said = json.loads(follow(word, "--json").stdout)["followed"]
    assert (said["sweep"], said["to"], len(said["sent"])) == ("schedules", word, 10)
    check(word, url, tmp_path)
    assert json.loads(follow(word, "--json").stdout)["followed"]["sent"] == []
    check(word, url, tmp_path)


def test_one_that_runs_grows(word: str, url: str, tmp_path: Path) -> None:
    filled.fill(url)
    with closing(Reader(url)) as reader:
        sweep = reader.sweep("schedules")
        assert sweep is not None
        (running,) = (each for each in reader.trials(sweep.id) if each.state == "running")
        begun = {f"trial-{each.called}" for each in reader.trials(sweep.id) if each.attempt}
    follow(word, "--once")
    whole = begun - {f"trial-{running.called}"}
    check(word, url, tmp_path, whole if word == "wandb" else None)  # offline: when it has ended
    with closing(Store(url)) as store:
        writer = store.writer(sweep.id, filled.HOLDER)
        row = [MetricRow("train_loss", 1640, 5.25), MetricRow("seconds", 1640, 9.0)]
        writer.add_rows(running.id, running.attempt, row, [])
        writer.end_trial(running.id, running.attempt, "complete")
    notes.tag(url, sweep.id, ["late"], running.id)
    follow(word, "--once")
    check(word, url, tmp_path)


@pytest.mark.long
def test_what_was_retried_is_as_it_is_now(word: str, url: str, tmp_path: Path) -> None:
    filled.fill(url, finished=True)
    follow(word)
    with closing(Store(url)) as store, closing(Reader(url)) as reader:
        (failed,) = (each for each in reader.trials(1) if each.state == "failed")
        store.take_lease(1, "again:1", 60)
        writer = store.writer(1, "again:1")
        writer.retry([failed.id], "asked")
        attempt = writer.start_trial(failed.id, "localhost:1")
        writer.add_rows(failed.id, attempt, [MetricRow("train_loss", 1690, 5.5)], [])
        writer.end_trial(failed.id, attempt, "complete")
        store.release_lease(1, "again:1")
    assert json.loads(follow(word, "--json").stdout)["followed"]["sent"] == [failed.called]
    check(word, url, tmp_path)


KILLED = """
import importlib, os, signal, sys
module, name, method = {call!r}.rsplit(".", 2)
of = getattr(importlib.import_module(module), name)
whole, calls = getattr(of, method), 0
def counted(*given, **named):
    global calls
    calls += 1
    done = whole(*given, **named)
    if calls == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
setattr(of, method, counted)
from sweeper.cli.main import app
app({words!r})
"""


@pytest.mark.long
@pytest.mark.parametrize("at", [1, 2, 17])
def test_a_process_that_is_killed_is_gone_on_from(at: int, word: str, url: str, tmp_path: Path) -> None:
    filled.fill(url, finished=True)
    words = ["follow", "schedules", "--to", place(word)]
    code = KILLED.format(call=CALLS[word], at=at, words=words)
    # Of its own: this process's service would go on with what the killed one had begun.
    environment = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}
    environment["PYTHONPATH"] = str(ROOT)
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    follow(word)
    check(word, url, tmp_path)


def test_a_file_that_was_cut_off_is_read_up_to_there(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: the extra [trackers]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWEEPER_DB", url)
    filled.fill(url, finished=True)
    follow("tensorboard")
    (file,) = (tmp_path / "runs" / "schedules" / "trial-4").glob("events.*")
    sizes = [file.stat().st_size * part // 10 for part in (1, 5, 9)]
    for size in reversed(sizes):
        os.truncate(file, size)
        for later in file.parent.glob("events.*"):
            if later != file:
                later.unlink()
        follow("tensorboard")
        check("tensorboard", url, tmp_path)


# --- what cannot be ------------------------------------------------------------------------------------
@pytest.mark.parametrize("to", ["nonsense", "tensorboard:", "comet:x", ""])
def test_another_place_is_exit_code_2(to: str, url: str) -> None:
    filled.fill(url, finished=True)
    result = CliRunner().invoke(cli.app, ["follow", "--to", to, "--db", url])
    assert result.exit_code == 2
    assert "tensorboard:DIR, mlflow:URI or wandb:PROJECT" in " ".join(result.stderr.split())


@pytest.mark.long
def test_a_folder_for_mlflow_is_a_sentence(url: str, tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed: the extra [trackers]")
    filled.fill(url, finished=True)
    result = CliRunner().invoke(cli.app, ["follow", "--to", f"mlflow:{tmp_path}/runs", "--db", url])
    assert result.exit_code == 7
    assert "\nMLflow keeps runs in folders no longer: say a database" in f"\n{result.stderr}"


@pytest.mark.long
def test_another_sweep_of_that_name_is_not_mixed_in(word: str, url: str, tmp_path: Path) -> None:
    if word == "wandb":
        pytest.skip("its runs have names that are made of the sweep's")
    filled.fill(url, finished=True)
    follow(word)
    (tmp_path / "s.db").unlink()
    filled.fill(url, finished=True)
    result = CliRunner().invoke(cli.app, ["follow", "--to", place(word)])
    assert result.exit_code == 7
    assert "another" in result.stderr


def test_a_library_that_is_missing_is_a_sentence(
    word: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled.fill(url, finished=True)
    monkeypatch.setitem(sys.modules, word, None)
    result = CliRunner().invoke(cli.app, ["follow", "--to", place(word)])
    assert result.exit_code == 7
    assert "extra [trackers]" in result.stderr
