"""The runner on real Ray, with fake trainers in worker processes. A start takes seconds, so few of them."""

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import NoReturn

import pytest

from sweeper.driver.extension import extend
from sweeper.driver.lease import alive
from sweeper.execution.local_ray import LocalRay
from sweeper.execution.runner import Means, run_sweep
from sweeper.execution.watchdog import SILENCE
from sweeper.files.scratch import end_orphans
from sweeper.store.engine import StoreError
from sweeper.store.queries import Reader
from sweeper.store.sqlite_files import BUSY_TIMEOUT
from sweeper.store.store import Store
from tests import fakes
from tests.sweeper.driving import Silent, make_spec, run_to_end, told
from tests.sweeper.execution.test_kill import check_ledger
from tests.sweeper.processes import PATIENCE, Work, end_of, wait_for

TEXT = """
name: test
trainer:
  data: {name: pydocs, length: 64}
  model.size: nano
  finetune.steps: 10
  evaluation.every: 2
space:
  finetune.batch_size: {int: [2, 90]}
search: {sampler: fixed, points: POINTS}
resources: {cpu: 1, gpu: 0, slots: 2}
"""


def text(*batch_sizes: int) -> str:
    points = ", ".join(f"{{finetune.batch_size: {size}}}" for size in batch_sizes)
    return TEXT.replace("POINTS", f"[{points}]")


@pytest.mark.long
def test_reused_workers_survive_trials_that_fail(tmp_path: Path) -> None:
    work = Work(tmp_path)
    bad = [fakes.NAN, fakes.HUGE, fakes.RAISE, fakes.SENTENCE]
    code, output = end_of(work.start(text(20, *bad, 21, 22, 23), seconds=0.05))
    assert code == 4, output

    trials = told(work.url)["trials"]
    assert [trial[5] for trial in trials] == ["complete", *["failed"] * 4, *["complete"] * 3]
    errors = [trial[9] for trial in trials[1:5]]
    assert errors[0] == "val_ppl is nan at step 10"
    assert errors[1].startswith("out of memory")
    assert errors[2].endswith("KeyError: 'a bug in the trainer'")
    assert errors[3] == "the loss is nan at step 2: lower the learning rate"
    assert all(
        [step for step, _ in told(work.url)["rows"]["val_ppl"][trial]] == [2, 4, 6, 8, 10] for trial in (1, 6)
    )

    pids = [pid for _, pid, what, _ in work.spells() if what == "begin"]
    assert len(pids) == 9, f"out of memory is tried again, once: {output}"
    assert len(set(pids)) <= 2, "a worker serves several trials"
    assert "INFO" not in output, "Ray's chatter goes to the log"
    assert "Started a local Ray" in (work.files / "trials" / "1" / "ray.log").read_text()

    # What has ended is not run again, and no Ray is started for it.
    log = (work.files / "trials" / "1" / "ray.log").read_text()
    code, _ = end_of(work.start(text(20, *bad, 21, 22, 23)))
    assert code == 4
    assert (work.files / "trials" / "1" / "ray.log").read_text() == log
    assert len(work.spells()) == 18


@pytest.mark.long
def test_a_worker_whose_gpu_is_broken_takes_no_other_job(tmp_path: Path) -> None:
    work = Work(tmp_path)
    code, output = end_of(work.start(text(20, fakes.ASSERTS, fakes.ASSERTS_ONCE, 21, 22), seconds=0.05))
    assert code == 4, output
    trials = told(work.url)["trials"]
    assert [trial[5] for trial in trials] == ["complete", "failed", "complete", "complete", "complete"]
    error = "CUDA error: device-side assert triggered, in 3 fresh workers one after another"
    assert trials[1][9] == error
    spells = [(pid, folder) for _, pid, what, folder in work.spells() if what == "begin"]
    broken = [pid for pid, folder in spells if folder == "2"]
    assert len(set(broken)) == 3
    began = [folder for _, folder in spells]
    assert (began.count("2"), began.count("3"), len(began)) == (3, 2, 8)  # none was charged with another's


@pytest.mark.long
def test_what_is_asked_while_the_workers_end_is_done_with_a_ray_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, stops, stop = f"sqlite:///{tmp_path}/s.db", list[int](), LocalRay.stop
    spec = make_spec("search.trials=1", "trainer.finetune.steps=10", "search.sampler=random")

    def stopped(self: LocalRay) -> None:
        stop(self)
        stops.append(len(stops))
        if len(stops) == 1:
            assert extend(url, "test", "+1") == (2, True)

    monkeypatch.setattr(LocalRay, "stop", stopped)
    assert run_sweep(spec, url, tmp_path / "files", Silent(), Means("tests.fakes")) == 0
    with closing(Reader(url)) as reader:
        assert [trial.state for trial in reader.trials(1)] == ["complete", "complete"]
        assert reader.controls(1) == []
    assert len(stops) == 3  # once for each Ray, and at the end of all


@pytest.mark.long
def test_interrupted_once_and_twice(tmp_path: Path) -> None:
    work = Work(tmp_path)
    driver = work.start(text(20, 21, 22), "trainer.evaluation.every=5", seconds=0.2)
    wait_for(lambda: work.steps() >= 6, driver)
    driver.send_signal(signal.SIGINT)
    code, output = end_of(driver)
    assert code == 130, output
    assert "the workers did not stop" not in output
    assert "python -m sweeper resume test" in output
    result = told(work.url)
    assert result["sweep"] == ("interrupted", "interrupted by SIGINT")
    assert {trial[5] for trial in result["trials"]} == {"queued"}
    saved = work.steps()

    driver = work.start(text(20, 21, 22), "trainer.evaluation.every=5", seconds=0.2)
    wait_for(lambda: work.steps() > saved + 2, driver)
    driver.send_signal(signal.SIGTERM)
    time.sleep(0.2)
    driver.send_signal(signal.SIGTERM)
    code, output = end_of(driver)
    assert code == 143, output
    assert "the workers did not stop" not in output  # nobody waited for them

    while work.workers():
        time.sleep(0.02)
    work.lose_rays_files()  # the next run would clear up
    run_to_end(work.url, make_spec("trainer.evaluation.every=5", text=text(20, 21, 22)), work.files)
    assert told(work.url)["sweep"][0] == "complete"
    for ledger in work.files.glob("trials/*/*/ledger.txt"):
        check_ledger(ledger.parent, 1, 10)


def test_a_driver_that_is_dead_holds_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert alive(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, but not waited for
    if Path("/proc").is_dir():
        assert not alive(process.pid)
    process.wait()
    assert not alive(process.pid)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are known by their open files: Linux")
def test_rays_processes_that_outlived_a_driver_end_with_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    waits = ["-c", f"import time; file = open({str(tmp_path / 'ray' / 'log')!r}, 'w'); time.sleep(60)"]
    agent = subprocess.Popen(["ray::Agent", *waits], executable=sys.executable)
    reader = subprocess.Popen([sys.executable, *waits])  # somebody who reads Ray's log
    elsewhere = subprocess.Popen(
        ["ray::Agent", "-c", "import time; time.sleep(60)"], executable=sys.executable
    )
    others = (reader, elsewhere)
    try:
        while not all(_has_open(process.pid, tmp_path) for process in (agent, reader)):
            time.sleep(0.02)
        end_orphans(tmp_path / "ray")
        assert agent.wait(10) == -signal.SIGKILL
        assert [other.poll() for other in others] == [None, None]
    finally:
        for process in (agent, *others):
            process.kill()
            process.wait()


def _has_open(pid: int, folder: Path) -> bool:
    with suppress(OSError):
        return any(each.readlink().is_relative_to(folder) for each in Path(f"/proc/{pid}/fd").iterdir())
    return False


def test_a_changed_spec_is_refused_with_the_differences(tmp_path: Path) -> None:
    work = Work(tmp_path)
    run_to_end(work.url, make_spec("search.trials=1"), work.files)
    said = Silent()
    changed = make_spec("search.trials=2", "search.seed=4")
    assert run_sweep(changed, work.url, work.files, said) == 3
    assert any("search.seed: 3 -> 4" in line for line in said.lines)
    assert not any("search.trials" in line for line in said.lines)
    assert any("--as NEWNAME" in line for line in said.lines)


def test_a_second_driver_is_refused_in_a_sentence(tmp_path: Path) -> None:
    work = Work(tmp_path)
    spec = make_spec("search.trials=1")
    with closing(Store(work.url)) as store:
        sweep = store.create_sweep(
            name="test", spec_text="", spec=spec.resolved(), code_version="", folder=str(work.files)
        )
        store.take_lease(sweep.id, "elsewhere:1", 60)
    said = Silent()
    assert run_sweep(spec, work.url, work.files, said) == 7
    assert len(said.lines) == 1
    assert "elsewhere:1" in said.lines[0]
    with closing(Reader(work.url)) as reader:
        assert reader.trials(1) == []


@pytest.mark.long
def test_a_lock_that_another_program_holds_is_waited_for(tmp_path: Path) -> None:
    """For longer than one waits for a transaction, and than a silent driver is left alive."""
    work = Work(tmp_path)
    driver = work.start(text(20, 21, 22), seconds=0.3)
    wait_for(lambda: bool(work.spells()), driver)
    states_in_the_file_alone(work)
    with closing(sqlite3.connect(tmp_path / "sweeps.db", isolation_level=None, timeout=PATIENCE)) as other:
        other.execute("BEGIN EXCLUSIVE")
        time.sleep(max(BUSY_TIMEOUT, SILENCE) + 5)
        other.execute("ROLLBACK")
    code, output = end_of(driver)
    assert code == 0, output
    assert "another program holds the database's lock: waited" in output
    assert states_in_the_file_alone(work) == ["complete"] * 3


def states_in_the_file_alone(work: Work) -> list[str]:
    """Of the trials, as a copy of sweeps.db has them without its log. The sweep at least is in it."""
    copy = work.place / "copy.db"
    shutil.copy(work.place / "sweeps.db", copy)
    with closing(Reader(f"sqlite:///{copy}")) as reader:
        assert reader.sweep("test") is not None
        return [trial.state for trial in reader.trials(1)]


def test_a_store_that_fails_is_said_with_the_line_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object, **__: object) -> NoReturn:
        raise StoreError("the database s.db cannot be used: database is locked")

    monkeypatch.setattr("sweeper.execution.runner.pack", locked)
    url, said = f"sqlite:///{tmp_path}/s.db", Silent()
    assert run_sweep(make_spec(text=text(20)), url, tmp_path / "files", said) == 7
    assert said.lines[-1] == (
        "the database s.db cannot be used: database is locked; "
        f"to go on: python -m sweeper resume test --db {url}"
    )


def test_a_full_disk_that_lets_the_store_say_nothing_ends_in_the_line_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device", "x")

    def full_store(*_: object, **__: object) -> NoReturn:
        raise StoreError("the database s.db cannot be used: database or disk is full")

    monkeypatch.setattr("sweeper.execution.runner.pack", full)
    monkeypatch.setattr("sweeper.store.writer.Writer.set_sweep_state", full_store)
    url, said = f"sqlite:///{tmp_path}/s.db", Silent()
    assert run_sweep(make_spec(text=text(20)), url, tmp_path / "files", said) == 7
    assert said.lines[-1] == (
        "the database s.db cannot be used: database or disk is full; "
        f"to go on: python -m sweeper resume test --db {url}"
    )


def test_what_could_not_begin_is_not_said_to_run(tmp_path: Path) -> None:
    """No cluster answers: exit code 7, and whoever looks at the sweep reads why it stands still."""
    url, nowhere = f"sqlite:///{tmp_path}/sweeps.db", "127.0.0.1:1"
    spec = make_spec(text=text(20))
    assert run_sweep(spec, url, tmp_path / "files", Silent(), Means(address=nowhere)) == 7
    with closing(Reader(url)) as reader:
        sweep = reader.sweep(spec.name)
        assert sweep is not None
        assert (sweep.state, sweep.lease_holder) == ("interrupted", None)
        assert "nothing answers" in sweep.note
