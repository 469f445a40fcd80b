"""`gc` and disk use: what no sweep needs goes, and never anything of a sweep that is being run."""

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner, Result

from sweeper.cli.main import app
from sweeper.driver.gc import collect
from sweeper.driver.jobs import StageJob, TrialJob
from sweeper.driver.retention import Retention
from sweeper.files.disk import bytes_of
from sweeper.files.remote import within
from sweeper.files.snapshots import Snapshots
from sweeper.spec.spec import SweepSpec
from sweeper.store.queries import Reader
from sweeper.store.store import Store
from tests import fakes
from tests.sweeper.driving import advance, make_spec, opened, run_to_end, run_until_killed, told

STAGED = ("trainer.pretrain.steps=3", "search.trials=4")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tmp_path / "s.files"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/s.db"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def snapshot(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock"}


def finish(url: str, spec: SweepSpec, files: Path) -> None:
    run_to_end(url, spec, files)
    change(url, lease_until=0.0)  # the test's driver gives its lease back to nobody


def change(url: str, **values: object) -> None:
    """Of the one sweep, behind everybody's back."""
    with closing(Store(url)) as store, store._engine.begin() as connection:
        for name, value in values.items():
            given = json.dumps(value) if isinstance(value, dict) else value
            connection.exec_driver_sql(f"UPDATE sweeps SET {name} = ?", (given,))


def test_of_a_sweep_that_ended_pretrains_go_and_what_is_beyond_keep(url: str, files: Path) -> None:
    spec = make_spec(*STAGED, "keep.best=1")
    finish(url, make_spec(*STAGED), files)
    change(url, spec=spec.resolved())  # as if `keep` had been said later
    stages = bytes_of(next(files.glob("stages/*/last.safetensors")))
    before, told_before = snapshot(files), told(url)

    dry = run("gc", "--dry-run", "--db", url)
    assert (dry.exit_code, snapshot(files)) == (0, before)
    found = collect(url, dry_run=True)
    assert sum(each.bytes for each in found.waste) > stages
    assert {each.what for each in found.waste} == {
        "checkpoints beyond keep",
        "pretrain of sweeps that have ended",
    }

    done = json.loads(run("gc", "--db", url, "--json").stdout)
    assert done["deleted"]
    assert done["bytes"] == sum(each.bytes for each in found.waste)
    gone = before - snapshot(files)
    assert {Path(name).name for name in gone} == {"last.safetensors", "last.safetensors.sha256"}
    assert {path for w in done["waste"] for path in w["paths"]} == {str(files / name) for name in gone}
    assert len(list(files.glob("trials/*/*/last.safetensors"))) == 1
    assert told(url) == told_before
    assert collect(url, dry_run=False).waste == []
    assert run("gc", "--db", url).stdout == "freed 0 B\n"


@pytest.mark.parametrize("commits", range(6, 38, 8))
def test_after_any_kill_gc_takes_nothing_that_resuming_needs(
    url: str, files: Path, tmp_path: Path, commits: int
) -> None:
    spec = make_spec(*STAGED, "search.sampler=random")
    undisturbed = f"sqlite:///{tmp_path}/u.db"
    run_to_end(undisturbed, spec, tmp_path / "u.files")
    assert run_until_killed(url, spec, files, commits)
    change(url, lease_until=0.0)
    steps = [file.read_text() for file in files.glob("*/*/*/ledger.txt")]
    collect(url, dry_run=False)
    assert [file.read_text() for file in files.glob("*/*/*/ledger.txt")] == steps
    finish(url, spec, files)
    assert told(url) == told(undisturbed)
    for ledger in files.glob("trials/*/*/ledger.txt"):  # a kill repeats what was not saved, nothing else
        trained = [line.split()[1] for line in ledger.read_text().splitlines()]
        assert sorted(set(trained)) == ["4", "5", "6", "7"]


def test_nothing_of_a_sweep_that_is_being_run(url: str, files: Path) -> None:
    spec = make_spec(*STAGED, "keep.best=1")
    fakes.killed = False
    with opened(url, spec, files) as driver:
        for _ in range(3):
            job = driver.next()
            assert isinstance(job, TrialJob | StageJob)
            Path(job.folder).mkdir(parents=True, exist_ok=True)
            run_of_it = job.run("tests.fakes", "cpu")
            while advance(driver, job, run_of_it):
                pass
        (files / "trials/1/1/last.safetensors.tmp").write_text("half")
        before = snapshot(files)
        for dry_run in (True, False):
            found = collect(url, dry_run=dry_run)
            assert (found.waste, [each.where for each in found.left]) == ([], ["test"])
            assert "run by me" in found.left[0].why
        assert snapshot(files) == before


def test_half_written_files_and_the_scratch_of_a_killed_driver(url: str, files: Path) -> None:
    finish(url, make_spec("search.trials=2"), files)
    half = [files / "trials/1/1/last.safetensors.tmp", files / "trials/1/2/config.json.tmp"]
    for file in half:
        file.write_text("half")
    scratch = Path(tempfile.mkdtemp(prefix="sweep-"))
    (scratch / "r").mkdir()
    (scratch / "r" / "log").write_text("x" * 1000)
    (files / "trials/1/ray.folder").write_text(str(scratch))
    with FileLock(half[1].parent / ".lock"):
        found = collect(url, dry_run=False)
    assert {each.what: each.bytes for each in found.waste} == {
        "half-written files": 4,
        "Ray's files of a driver that was killed": 1000,
    }
    assert [each.why for each in found.left] == [f"a worker is in {half[1].parent}"]
    assert [file.exists() for file in half] == [False, True]
    assert not scratch.exists()


def test_a_note_that_names_another_folder_is_not_followed(url: str, files: Path, tmp_path: Path) -> None:
    finish(url, make_spec("search.trials=1"), files)
    precious = tmp_path / "thesis"
    precious.mkdir()
    (files / "trials/1/ray.folder").write_text(str(precious))
    collect(url, dry_run=False)
    assert precious.is_dir()


def test_what_the_database_does_not_know_is_left_alone(url: str, files: Path) -> None:
    finish(url, make_spec("search.trials=1"), files)
    other = files / "trials/9/1/last.safetensors.tmp"
    stage = files / "stages/beef/last.safetensors"
    for file in (other, stage):
        file.parent.mkdir(parents=True)
        file.write_text("another's")
    found = collect(url, dry_run=False)
    assert [each.why for each in found.left] == [
        "of no sweep in this database",
        "of no pretrain in this database",
    ]
    assert other.exists()
    assert stage.exists()


def test_status_says_what_is_on_disk(url: str, files: Path) -> None:
    finish(url, make_spec(*STAGED), files)
    shown = json.loads(run("status", "test", "--db", url, "--json").stdout)["disk"]
    trained = sum(file.stat().st_size for file in (files / "trials").rglob("*") if file.is_file())
    kept = sum(file.stat().st_size for file in files.glob("stages/*/last.safetensors*"))
    assert (shown["checkpoints"], shown["stages"]) == (trained, kept)
    assert shown["store"] > 10_000
    assert shown["free"] > 0
    assert "disk: trials " in run("status", "test", "--db", url).stdout


def test_what_vanishes_while_it_is_counted_counts_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("abc")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    assert bytes_of(tmp_path) == 3 + (tmp_path / "link").lstat().st_size
    assert bytes_of(tmp_path / "none") == 0


@pytest.fixture(autouse=True)
def alive() -> Iterator[None]:
    fakes.killed = False
    yield
    fakes.killed = False


def test_a_database_that_is_not_there(tmp_path: Path) -> None:
    told = run("gc", "--db", f"sqlite:///{tmp_path}/none.db")
    assert (told.exit_code, list(tmp_path.iterdir())) == (7, [])


def test_gc_holds_the_lease_while_it_works(url: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(url, make_spec("search.trials=1"), files)
    seen = []

    def look(reader: Reader, sweep: object) -> Iterator[object]:
        record = reader.sweep("test")
        seen.append(record and record.lease_holder)
        yield from ()

    monkeypatch.setattr("sweeper.driver.gc._of_sweep", look)
    collect(url, dry_run=False)
    with closing(Reader(url)) as reader:
        assert reader.sweep("test").lease_holder is None  # type: ignore[union-attr]
    assert seen[0]
    assert "#" in seen[0]


def moved_to(remote: str, url: str, files: Path) -> None:
    """As if the sweep's files had been put there by its workers, long ago."""
    with closing(Reader(url)) as reader:
        folders = [f"trials/1/{trial.id}" for trial in reader.trials(1) if trial.repeat_of is None]
        folders += [f"stages/{stage.key}" for stage in reader.stages()]
    for folder in folders:
        Snapshots(within(remote, *folder.split("/"))).push(files / folder)
    with closing(Store(url)) as store, store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sweeps SET folder = ?", (remote,))
        for (key,) in connection.exec_driver_sql("SELECT key FROM stages").all():
            there = within(remote, "stages", key)
            connection.exec_driver_sql("UPDATE stages SET folder = ? WHERE key = ?", (there, key))
        connection.exec_driver_sql("UPDATE trials SET ended = ended - 1000")


def checkpoints(remote: str, url: str) -> set[int]:
    """Trials that have one there; that all else is whole."""
    found = set()
    with closing(Reader(url)) as reader:
        for trial in reader.trials(1):
            newest = Snapshots(within(remote, "trials", "1", str(trial.id))).newest()
            if newest is not None:
                assert "ledger.txt" in newest.files, "what proves a run stays"
                found |= {trial.id} if "last.safetensors" in newest.files else set()
    return found


def test_in_an_object_store_the_same_goes_and_what_stays_can_be_fetched(
    remote: str, url: str, files: Path, tmp_path: Path
) -> None:
    finish(url, make_spec(*STAGED), files)
    moved_to(remote, url, files)
    change(url, spec=make_spec(*STAGED, "keep.best=1").resolved())
    before = checkpoints(remote, url)
    said = collect(url, dry_run=True)
    assert checkpoints(remote, url) == before
    done = collect(url, dry_run=False)
    assert done.waste == said.waste
    assert {each.what for each in done.waste} == {
        "checkpoints beyond keep",
        "pretrain of sweeps that have ended",
    }
    assert len(checkpoints(remote, url)) == 1
    for each in done.waste:
        assert each.bytes > 0
    (stays,) = checkpoints(remote, url)
    assert Snapshots(within(remote, "trials", "1", str(stays))).fetch(tmp_path / "look")
    assert not collect(url, dry_run=False).waste


def test_of_an_object_store_what_has_just_ended_waits(remote: str, url: str, files: Path) -> None:
    """A worker may be copying there."""
    finish(url, make_spec(*STAGED), files)
    moved_to(remote, url, files)
    change(url, spec=make_spec(*STAGED, "keep.best=1").resolved())
    with closing(Store(url)) as store, store._engine.begin() as connection:
        connection.exec_driver_sql("UPDATE trials SET ended = ?", (time.time(),))
    assert {each.what for each in collect(url, dry_run=True).waste} == {"pretrain of sweeps that have ended"}


def test_a_store_that_does_not_answer_is_left(url: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote = f"file://{files}-there"
    finish(url, make_spec(*STAGED), files)
    moved_to(remote, url, files)
    change(url, spec=make_spec(*STAGED, "keep.best=1").resolved())

    def silent(*_: object) -> None:
        raise OSError("no answer")

    monkeypatch.setattr(Snapshots, "drop", silent)
    monkeypatch.setattr(Snapshots, "clear", silent)
    found = collect(url, dry_run=False)
    assert not found.waste
    assert {each.why.rpartition(" ")[2] for each in found.left} == {"answer"}


def test_a_driver_asks_an_object_store_about_each_trial_once(
    url: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = f"file://{files}-there"
    spec = make_spec(*STAGED, "keep.best=1")
    finish(url, make_spec(*STAGED), files)
    moved_to(remote, url, files)
    monkeypatch.setattr("sweeper.driver.retention.AT_ONCE", 2)
    asked: list[int] = []
    newest = Snapshots.newest
    monkeypatch.setattr(Snapshots, "newest", lambda self: asked.append(1) or newest(self))
    with closing(Reader(url)) as reader:
        retention = Retention("test", spec.keep, reader, print)
        for _ in range(5):
            retention.look_now()
    monkeypatch.undo()
    assert len(checkpoints(remote, url)) == 1
    assert not retention.due
    assert len(asked) == 2 * 3  # of each of three: what is there, and to take it away
