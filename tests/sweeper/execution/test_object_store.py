"""Checkpoints in an object store: on moto's S3 server, and on a folder that plays one."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import fs
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.jobs import StageJob, TrialJob
from sweeper.execution import mirror
from sweeper.execution.mirror import Turn, mirrored, patiently
from sweeper.files.remote import InvalidPlace, check, is_remote, logs_of, within
from sweeper.files.snapshots import Damaged, Snapshots, Superseded, sees, try_out
from sweeper.store.queries import Reader
from tests import fakes
from tests.sweeper import s3
from tests.sweeper.driving import make_spec, run_to_end, told
from tests.sweeper.execution.test_kill import STEPS, TEXT, check_ledger
from tests.sweeper.processes import Work, end_of, kill, wait_for


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3.server() as uri:
        yield uri


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRAINER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of one test alone."""
    if request.param == "file":
        return f"file://{tmp_path}/store"
    return within(request.getfixturevalue("bucket"), tmp_path.name)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.iterdir()}


def objects(uri: str) -> list[str]:
    system, root = fs.FileSystem.from_uri(uri)
    found = system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
    return sorted(info.path for info in found if info.type == fs.FileType.File)


# --- copies of a folder ---------------------------------------------------------------------------
def test_what_was_pushed_is_fetched(place: str, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    copies = Snapshots(place)
    assert copies.fetch(here) is None
    write(here, weights="one", rows="1\n")
    write(here, **{"weights.tmp": "half", ".lock": ""})
    assert copies.push(here)
    assert not copies.push(here), "nothing has changed"
    write(here, rows="1\n2\n", more="")
    assert copies.push(here)
    assert Snapshots(place).fetch(there)
    assert read(there) == {"weights": "one", "rows": "1\n2\n", "more": ""}
    assert len(objects(place)) == 4, "what is not needed any more is deleted"
    (here / "more").unlink()
    assert copies.push(here)
    assert Snapshots(place).fetch(there)
    assert read(there) == {"weights": "one", "rows": "1\n2\n"}
    assert Snapshots(place).size() == 7
    Snapshots(place).clear()
    assert objects(place) == []


def test_what_was_cut_off_is_never_read(place: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    write(here, weights="one")
    Snapshots(place).push(here)
    system, root = fs.FileSystem.from_uri(place)
    (manifest,) = [path for path in objects(place) if "/manifests/" in path]
    whole = system.open_input_stream(manifest).read()
    for length in range(0, len(whole) - 1, 1 if place.startswith("file") else 60):
        with system.open_output_stream(f"{root}/manifests/000009-00000001-later") as out:
            out.write(whole[:length])
        newest = Snapshots(place).newest()
        assert newest is not None
        assert newest.generation == 1


def test_damage_is_seen(place: str, tmp_path: Path) -> None:
    here = tmp_path / "here"
    write(here, weights="one")
    Snapshots(place).push(here)
    assert Snapshots(place).fault() == ""
    system, _ = fs.FileSystem.from_uri(place)
    (weights,) = [path for path in objects(place) if "/objects/" in path]
    with system.open_output_stream(weights) as out:
        out.write(b"two")
    with pytest.raises(Damaged, match="checksum"):
        Snapshots(place).fetch(tmp_path / "there")
    assert read(tmp_path / "there") == {}
    with system.open_output_stream(weights) as out:
        out.write(b"on")
    assert "damaged" in Snapshots(place).fault()
    system.delete_file(weights)
    with pytest.raises(Damaged, match="gone"):
        Snapshots(place).fetch(tmp_path / "there")


def test_names_that_leave_the_folder_are_not_ours(tmp_path: Path) -> None:
    from sweeper.files.snapshots import File, _encoded

    place, here = f"file://{tmp_path}/store", tmp_path / "here"
    write(here, weights="one")
    Snapshots(place).push(here)
    (manifest,) = (tmp_path / "store" / "manifests").iterdir()
    manifest.write_bytes(_encoded({"../outside": File("x", "y", 1)}))
    assert Snapshots(place).newest() is None


def test_a_worker_that_was_cut_off_is_told(place: str, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    first, second = Snapshots(place), Snapshots(place)
    first.fetch(old)
    write(old, weights="1", best="0")
    first.push(old)
    second.fetch(new)
    write(old, weights="2")
    assert first.push(old), "nobody has said anything new yet"
    write(new, weights="3")
    assert second.push(new)
    write(old, weights="4")
    with pytest.raises(Superseded):
        first.push(old)
    assert Snapshots(place).fetch(tmp_path / "then")
    assert read(tmp_path / "then") == {"weights": "3", "best": "0"}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    acts=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from(["begin", "write", "push", "cut"]), st.integers(0, 9)
        ),
        max_size=25,
    )
)
def test_whatever_two_workers_do_there_is_a_whole_copy(
    acts: list[tuple[str, str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A copy is what one of them had when it pushed; once pushed by the later one it stays so."""
    tmp = tmp_path_factory.mktemp("two")
    place, pushed = f"file://{tmp}/store", []
    copies: dict[str, Snapshots] = {}
    for count, (who, what, number) in enumerate(acts):
        folder = tmp / who
        if what == "begin" or who not in copies:
            copies[who] = Snapshots(place)
            copies[who].fetch(folder)
            folder.mkdir(exist_ok=True)
        if what == "write":
            write(folder, **{f"f{number % 3}": f"{count} {who}"})
        if what == "cut":  # killed at its number-th write, so with no memory of it
            _push_and_die(copies.pop(who), folder, number % 4)
            copies.pop(who, None)
        if what == "push":
            with suppress(Superseded):
                copies[who].push(folder)
                pushed.append(read(folder))
        look = tmp / f"look{count}"
        if Snapshots(place).fetch(look):
            assert read(look) in pushed or any(each[1] == "cut" for each in acts[: count + 1])
        else:
            assert not any(pushed)


class Died(BaseException):
    pass


def _push_and_die(copies: Snapshots, folder: Path, writes: int) -> None:
    real, left = copies._write, [writes]

    def write_or_die(path: str, content: Path | bytes) -> None:
        if not left[0]:
            raise Died
        left[0] -= 1
        real(path, content)

    copies._write = write_or_die  # type: ignore[method-assign]
    with suppress(Died, Superseded):
        copies.push(folder)


# --- a job whose folder is there ------------------------------------------------------------------
def job(
    place: str, steps: int = 12, trial: int = 1, pretrained: str | None = None, attempt: int = 1
) -> TrialJob:
    values = {"data.name": "pydocs", "data.length": 64, "model.size": "nano", "finetune.steps": steps}
    values |= {"evaluation.every": 3, "seed": 3}
    return TrialJob(trial, attempt, values, within(place, "trials", "1", str(trial)), pretrained, 0)


def test_what_is_reported_is_there(place: str, tmp_path: Path) -> None:
    """At every report: a fetch from elsewhere finds the checkpoint that holds its step."""
    reports = 0
    for report in mirrored(job(place), "tests.fakes", "cpu"):
        if report is not None:
            look = tmp_path / f"look{report.step}"
            assert Snapshots(job(place).folder).fetch(look)
            assert fakes._load(look)["step"] >= report.step
            reports += 1
    assert reports == 4


def test_a_job_that_is_closed_saves_there_and_goes_on(place: str, tmp_path: Path, cache: Path) -> None:
    run = mirrored(job(place), "tests.fakes", "cpu")
    while (report := next(run)) is None or report.step < 6:
        pass
    for _ in range(2):
        next(run)
    run.close()
    assert list((cache / "scratch").iterdir()) == []
    steps = [r.step for r in mirrored(job(place, attempt=2), "tests.fakes", "cpu") if r is not None]
    assert steps[-1] == 12
    assert Snapshots(job(place).folder).fetch(tmp_path / "look")
    ledger = (tmp_path / "look" / "ledger.txt").read_text().split()[1::2]
    assert ledger == [str(step) for step in range(1, 13)], "no step is trained twice"


def test_an_outage_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "LOOK", 0.01)
    place, real, broken = f"file://{tmp_path}/store", Snapshots._write, [0]

    def flaky(self: Snapshots, path: str, content: Path | bytes) -> None:
        broken[0] += 1
        if broken[0] % 3:
            raise OSError("When uploading: AWS Error NETWORK_CONNECTION")
        real(self, path, content)

    monkeypatch.setattr(Snapshots, "_write", flaky)
    reports = [r.step for r in mirrored(job(place), "tests.fakes", "cpu") if r is not None]
    assert reports == [3, 6, 9, 12]
    assert Snapshots(job(place).folder).fetch(tmp_path / "look")
    assert fakes._load(tmp_path / "look")["step"] == 12
    assert broken[0] > 10


def test_an_outage_without_end_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "OUTAGE", -1.0)

    def nothing() -> None:
        raise OSError("AWS Error NETWORK_CONNECTION\n during x")

    with pytest.raises(ValueError, match="the object store has not answered for"):
        list(patiently(nothing))


def test_what_a_killed_worker_left_here_is_cleared(tmp_path: Path, cache: Path) -> None:
    run = mirrored(job(f"file://{tmp_path}/store"), "tests.fakes", "cpu")
    next(run)
    (busy,) = [each for each in (cache / "scratch").iterdir() if each.is_dir()]
    left = cache / "scratch" / "0123"
    left.mkdir()
    left.with_suffix(".lock").touch()
    other = mirrored(job(f"file://{tmp_path}/store", trial=2), "tests.fakes", "cpu")
    next(other)
    assert not left.exists()
    assert busy.is_dir()
    run.close()
    other.close()


# --- stages ---------------------------------------------------------------------------------------
def stage(place: str) -> StageJob:
    values = {"data.name": "pydocs", "data.length": 64, "model.size": "nano", "pretrain.steps": 4}
    values |= {"pretrain.block_size": 64, "finetune.steps": 12, "evaluation.every": 3, "seed": 3}
    return StageJob("k", 1, values, within(place, "stages", "k"))


def test_a_stage_is_made_once_and_branched_from(
    place: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mirror, "LOOK", 0.01)
    first, second = (mirrored(stage(place), "tests.fakes", "cpu") for _ in range(2))
    for _ in range(3):
        next(first)
    waited = [next(second) for _ in range(5)]
    assert waited == [None] * 5, "the other is at work"
    for _ in first:
        pass
    for _ in second:
        pass
    assert Snapshots(stage(place).folder).fault() == ""
    assert Snapshots(stage(place).folder).fetch(tmp_path / "look")
    assert (tmp_path / "look" / "ledger.txt").read_text().split()[1::2] == ["1", "2", "3", "4"]
    trial = job(place, pretrained=stage(place).folder)
    trial = trial._replace(values={**stage(place).values, "seed": 3})
    assert [r.step for r in mirrored(trial, "tests.fakes", "cpu") if r is not None][-1] == 16


def test_who_is_dead_keeps_nobody_waiting(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "LOOK", 0.01)
    monkeypatch.setattr(mirror, "SILENT", 0.2)
    dead = Turn(stage(place).folder)
    list(dead.wait())
    began = time.monotonic()
    for _ in mirrored(stage(place), "tests.fakes", "cpu"):
        pass
    assert 0.2 < time.monotonic() - began < 20
    assert not [path for path in objects(place) if path.endswith("/turn")]


def test_who_was_taken_for_dead_goes_on_with_what_the_other_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "LOOK", 0.01)
    monkeypatch.setattr(mirror, "SILENT", 0.05)
    place = f"file://{tmp_path}/store"
    halted = mirrored(stage(place), "tests.fakes", "cpu")
    for _ in range(3):
        next(halted)
    for _ in mirrored(stage(place), "tests.fakes", "cpu"):
        pass
    for _ in halted:
        pass
    assert Snapshots(stage(place).folder).fault() == ""


# --- sweeps ---------------------------------------------------------------------------------------
@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_with_its_files_in_an_object_store(bucket: str, tmp_path: Path) -> None:
    """The driver is killed, then a worker, with nothing on this machine's disk that is gone on from."""
    chance = random.Random(7)
    place = within(bucket, "sweep")
    whole, cut = Work(tmp_path / "whole"), Work(tmp_path / "cut", store=place)
    whole.place.mkdir()
    cut.place.mkdir()
    run_to_end(whole.url, make_spec(text=TEXT), whole.files)

    driver = cut.start(TEXT, "trainer.checkpoint.every=0.1", seconds=0.1)
    wait_for(lambda: trained(cut.url) >= chance.randrange(3, STEPS // 3), driver)
    kill(driver)
    driver = cut.start(TEXT, "trainer.checkpoint.every=0.1", seconds=0.1)
    before = trained(cut.url)
    wait_for(lambda: trained(cut.url) > before + 4 and bool(cut.spells()), driver)
    os.kill(cut.spells()[-1][1], signal.SIGKILL)
    code, output = end_of(driver)
    assert code == 0, output
    assert "lost its worker" in output
    assert told(cut.url) == told(whole.url)
    assert not is_remote(str(logs_of(place)))

    with closing(Reader(cut.url)) as reader:
        trials = [trial.id for trial in reader.trials(1) if trial.repeat_of is None]
        stages = [each.folder for each in reader.stages()]
    for number in trials:
        look = tmp_path / "look" / str(number)
        look.parent.mkdir(exist_ok=True)
        assert Snapshots(within(place, "trials", "1", str(number))).fetch(look)
        check_ledger(look, 5, 16)
    (only,) = stages
    assert Snapshots(only).fault() == ""

    said = CliRunner().invoke(app, ["stages", "prune", "--yes", "--db", cut.url])
    assert said.exit_code == 0, said.output
    assert "freed: 1 of 1 stages" in said.output
    assert Snapshots(only).newest() is None


def trained(url: str) -> int:
    """Rows that the store has."""
    with suppress(ValueError), closing(Reader(url)) as reader:
        return sum(len(reader.curve([t.id], "val_ppl").get(t.id, [])) for t in reader.trials(1)) * 3
    return 0


# --- what is refused ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("ftp://host/x", "no object store"),
        ("s3://me:s3cret@bucket/x", "by the environment"),
        ("s3://bucket/x?secret_key=s3cret", "by the environment"),
    ],
)
def test_a_uri_that_cannot_be_is_refused(uri: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidPlace, match=said) as refused:
        check(uri)
    assert "s3cret" not in str(refused.value)
    database = f"sqlite:///{tmp_path}/a.db"
    for command in (["run", "search_spaces/smoke.yaml"], ["doctor"]):
        answer = CliRunner().invoke(app, [*command, "--files", uri, "--db", database])
        assert answer.exit_code in (2, 7)
        assert said in answer.output
        assert "s3cret" not in answer.output


def test_a_bucket_that_is_not_there_is_said(bucket: str) -> None:
    with pytest.raises(InvalidPlace, match="s3://nobody-has/this cannot be written"):
        try_out(bucket.replace("sweeps/here", "nobody-has/this"))
    try_out(bucket)
    assert not sees(within(bucket, "x"))


def test_within() -> None:
    assert within("/a/b", "c", "d") == "/a/b/c/d"
    assert within("s3://b/p/?region=x", "c", "d") == "s3://b/p/c/d?region=x"
    assert within("s3://b", "c") == "s3://b/c"
