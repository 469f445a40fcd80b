"""A job whose folder is in an object store: what is reported is there, through outages and kills."""

import os
import random
import signal
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sweeper.cli.main import app
from sweeper.driver.driver import Driver
from sweeper.driver.jobs import StageJob, TrialJob
from sweeper.execution import mirror
from sweeper.execution.mirror import Turn, mirrored, patiently
from sweeper.files.remote import is_remote, logs_of, within
from sweeper.files.snapshots import Snapshots
from sweeper.store.queries import Reader
from tests import fakes
from tests.sweeper.driving import STAGED, advance, make_spec, opened, run_to_end, told
from tests.sweeper.execution.test_kill import STEPS, TEXT, check_ledger
from tests.sweeper.processes import Work, end_of, kill, wait_for
from tests.sweeper.s3 import objects

pytestmark = pytest.mark.usefixtures("cache")


def job(
    remote: str, steps: int = 12, trial: int = 1, pretrained: str | None = None, attempt: int = 1
) -> TrialJob:
    values = {"data.name": "pydocs", "data.length": 64, "model.size": "nano", "finetune.steps": steps}
    values |= {"evaluation.every": 3, "seed": 3}
    return TrialJob(trial, attempt, values, within(remote, "trials", "1", str(trial)), pretrained, 0)


def test_what_is_reported_is_there(remote: str, tmp_path: Path) -> None:
    """At every report: a fetch from elsewhere finds the checkpoint that holds its step."""
    reports = 0
    for report in mirrored(job(remote), "tests.fakes", "cpu"):
        if report is not None:
            look = tmp_path / f"look{report.step}"
            assert Snapshots(job(remote).folder).fetch(look)
            assert fakes._load(look)["step"] >= report.step
            reports += 1
    assert reports == 4


def test_a_job_that_is_closed_saves_there_and_goes_on(remote: str, tmp_path: Path, cache: Path) -> None:
    run = mirrored(job(remote), "tests.fakes", "cpu")
    while (report := next(run)) is None or report.step < 6:
        pass
    for _ in range(2):
        next(run)
    run.close()
    assert list((cache / "scratch").iterdir()) == []
    steps = [r.step for r in mirrored(job(remote, attempt=2), "tests.fakes", "cpu") if r is not None]
    assert steps[-1] == 12
    assert Snapshots(job(remote).folder).fetch(tmp_path / "look")
    ledger = (tmp_path / "look" / "ledger.txt").read_text().split()[1::2]
    assert ledger == [str(step) for step in range(1, 13)], "no step is trained twice"


def test_an_outage_is_waited_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "LOOK", 0.01)
    remote, real, broken = f"file://{tmp_path}/store", Snapshots._write, [0]

    def flaky(self: Snapshots, path: str, content: Path | bytes) -> None:
        broken[0] += 1
        if broken[0] % 3:
            raise OSError("When uploading: AWS Error NETWORK_CONNECTION")
        real(self, path, content)

    monkeypatch.setattr(Snapshots, "_write", flaky)
    reports = [r.step for r in mirrored(job(remote), "tests.fakes", "cpu") if r is not None]
    assert reports == [3, 6, 9, 12]
    assert Snapshots(job(remote).folder).fetch(tmp_path / "look")
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


def stage(remote: str) -> StageJob:
    values = {"data.name": "pydocs", "data.length": 64, "model.size": "nano", "pretrain.steps": 4}
    values |= {"pretrain.block_size": 64, "finetune.steps": 12, "evaluation.every": 3, "seed": 3}
    return StageJob("k", 1, values, within(remote, "stages", "k"))


def test_a_stage_is_made_once_and_branched_from(
    remote: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mirror, "LOOK", 0.01)
    first, second = (mirrored(stage(remote), "tests.fakes", "cpu") for _ in range(2))
    for _ in range(3):
        next(first)
    waited = [next(second) for _ in range(5)]
    assert waited == [None] * 5, "the other is at work"
    for _ in first:
        pass
    for _ in second:
        pass
    assert Snapshots(stage(remote).folder).fault() == ""
    assert Snapshots(stage(remote).folder).fetch(tmp_path / "look")
    assert (tmp_path / "look" / "ledger.txt").read_text().split()[1::2] == ["1", "2", "3", "4"]
    trial = job(remote, pretrained=stage(remote).folder)
    trial = trial._replace(values={**stage(remote).values, "seed": 3})
    assert [r.step for r in mirrored(trial, "tests.fakes", "cpu") if r is not None][-1] == 16


@pytest.mark.parametrize(("there", "begins"), [(True, 5), (False, 1)])
def test_a_stage_goes_on_from_another_one_that_is_there(
    remote: str, tmp_path: Path, there: bool, begins: int
) -> None:
    parent = stage(remote)
    if there:
        for _ in mirrored(parent, "tests.fakes", "cpu"):
            pass
    longer = stage(remote)._replace(key="l", folder=within(remote, "stages", "l"), parent=parent.folder)
    longer = longer._replace(values={**parent.values, "pretrain.steps": 6})
    for _ in mirrored(longer, "tests.fakes", "cpu"):
        pass
    assert Snapshots(longer.folder).fetch(tmp_path / "look")
    steps = (tmp_path / "look" / "ledger.txt").read_text().split()[1::2]
    assert steps == [str(step) for step in range(begins, 7)]


def test_who_is_dead_keeps_nobody_waiting(remote: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "LOOK", 0.01)
    monkeypatch.setattr(mirror, "SILENT", 0.2)
    dead = Turn(stage(remote).folder)
    list(dead.wait())
    began = time.monotonic()
    for _ in mirrored(stage(remote), "tests.fakes", "cpu"):
        pass
    assert time.monotonic() - began > 0.2
    assert not [path for path in objects(remote) if path.endswith("/turn")]


def test_who_was_taken_for_dead_goes_on_with_what_the_other_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "LOOK", 0.01)
    monkeypatch.setattr(mirror, "SILENT", 0.05)
    remote = f"file://{tmp_path}/store"
    halted = mirrored(stage(remote), "tests.fakes", "cpu")
    for _ in range(3):
        next(halted)
    for _ in mirrored(stage(remote), "tests.fakes", "cpu"):
        pass
    for _ in halted:
        pass
    assert Snapshots(stage(remote).folder).fault() == ""


def test_a_stage_whose_copy_is_damaged_is_trained_again(tmp_path: Path) -> None:
    """The driver sees no byte of it: that it is damaged, the trial's worker says, each time anew."""
    url, spec = f"sqlite:///{tmp_path}/s.db", make_spec(*STAGED, "search.trials=2")
    run_to_end(f"sqlite:///{tmp_path}/u.db", spec, tmp_path / "u")
    with opened(url, spec, f"file://{tmp_path}/store") as driver:  # type: ignore[arg-type]
        made = driver.next()
        assert isinstance(made, StageJob)
        in_turn(driver, made)
        for file in Path(made.folder.removeprefix("file://"), "objects").iterdir():
            file.write_bytes(file.read_bytes().replace(b"1", b"2"))
        while isinstance(job := driver.next(), StageJob | TrialJob):
            in_turn(driver, job)
        assert driver.stop_reason is None
        driver.end()
    assert told(url) == told(f"sqlite:///{tmp_path}/u.db")


def in_turn(driver: Driver, job: StageJob | TrialJob) -> None:
    run = mirrored(job, "tests.fakes", "cpu")
    while advance(driver, job, run):
        pass


@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_with_its_files_in_an_object_store(bucket: str, tmp_path: Path) -> None:
    """The driver is killed, then a worker, with nothing on this machine's disk that is gone on from."""
    chance = random.Random(7)
    remote = within(bucket, "sweep")
    whole, cut = Work(tmp_path / "whole"), Work(tmp_path / "cut", store=remote)
    whole.remote.mkdir()
    cut.remote.mkdir()
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
    assert not is_remote(str(logs_of(remote)))

    with closing(Reader(cut.url)) as reader:
        trials = [trial.id for trial in reader.trials(1) if trial.repeat_of is None]
        stages = [each.folder for each in reader.stages()]
    for number in trials:
        look = tmp_path / "look" / str(number)
        look.parent.mkdir(exist_ok=True)
        assert Snapshots(within(remote, "trials", "1", str(number))).fetch(look)
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
