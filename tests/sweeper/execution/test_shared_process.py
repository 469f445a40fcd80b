"""Several workers' jobs trained in one process: each trial is what it is alone, and ends by itself."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.driver.jobs import TrialJob
from sweeper.execution import shared_process, training
from sweeper.execution.shared_process import Elsewhere, SharedProcess, Shares, lives
from sweeper.execution.training import Here
from sweeper.execution.worker import Worker
from tests import fakes
from tests.sweeper.driving import drive, make_spec, opened, told
from tests.sweeper.execution.test_runner import text
from tests.sweeper.processes import Work, end_of, wait_for

TEXT = """
name: test
trainer:
  data: {name: synthetic, words: 64, length: 32, train_sequences: 256, held_out_sequences: 64}
  model: {width: 32, layers: 2, heads: 2, cond_width: 8, dropout: 0}
  compute.precision: float32
  optimizer.eps: 1.0e-4
  pretrain: {steps: 20, block_size: 32}
  finetune: {steps: 120, batch_size: 4, block_size: 4}
  evaluation: {every: 60, sequences: 32, variance_batches: 0}
  checkpoint.every: 0.5
space:
  finetune.lr: {log_uniform: [1.0e-4, 1.0e-2]}
  finetune.clip.low: {uniform: [0, 0.5]}
search: {sampler: random, trials: 4, seed: 1}
resources: {cpu: 0.25, gpu: 0, slots: 2, fused: 2}
"""


def losses(url: str) -> dict[int, list[tuple[int, float]]]:
    return told(url)["rows"]["val_nelbo"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_sweep_of_fused_trials_is_that_of_trials_alone(tmp_path: Path) -> None:
    """And where the process that they share is killed, each goes on from its last checkpoint."""
    alone, fused = f"sqlite:///{tmp_path}/alone.db", Work(tmp_path)
    spec = make_spec(text=TEXT)
    with opened(alone, spec, tmp_path / "alone") as driver:
        drive(driver, train="trainer.training.train")
    running = fused.start_real(TEXT)
    wait_for(lambda: fused.steps() > 60, running)
    training = fused.workers()
    assert len(training) == 1
    os.kill(training.pop(), signal.SIGKILL)
    code, output = end_of(running, patience=600)
    assert code == 0, output
    assert "lost its worker; it goes on from its last checkpoint" in output
    assert [trial[5] for trial in told(fused.url)["trials"]] == ["complete"] * 4
    expected = losses(alone)
    for trial, rows in losses(fused.url).items():
        assert [step for step, _ in rows] == [step for step, _ in expected[trial]]
        assert [value for _, value in rows] == pytest.approx([v for _, v in expected[trial]], rel=1e-4)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_trial_that_ends_each_process_it_is_in_ends_no_other(tmp_path: Path) -> None:
    work = Work(tmp_path)
    together = "resources={cpu: 0.25, gpu: 0, slots: 3, fused: 3}"
    code, output = end_of(work.start(text(fakes.DIE, 20, 21), together, seconds=2.0))
    assert code == 4, output
    assert [trial[5] for trial in told(work.url)["trials"]] == ["lost", "complete", "complete"], output


def test_a_job_that_is_to_be_apart_is_trained_in_its_own_worker() -> None:
    """And the next one that this worker is given with others again."""
    worker = Worker.__new__(Worker)
    job = TrialJob(1, 1, {}, "1", None, 0)
    given = {"trainer": "tests.fakes", "gpu": 0.0, "fused": 2, "threads": 1}
    worker.setup({"job": job, **given})
    shared = worker._place
    assert isinstance(shared, Elsewhere)
    assert worker.reset_config({"job": job._replace(apart=True), **given})
    assert isinstance(worker._place, Here)
    assert worker.reset_config({"job": job, **given})
    assert worker._place is shared
    assert worker.reset_config({"job": job, **given, "fused": 1})
    assert isinstance(worker._place, Here)


def test_costs_are_shared_by_those_who_run(monkeypatch: pytest.MonkeyPatch) -> None:
    spent = [10.0]
    monkeypatch.setattr("time.process_time", lambda: spent[0])
    shares = Shares()
    spent[0] = 11.0  # nobody's
    shares.begin(1)
    spent[0] = 15.0
    shares.begin(2)
    spent[0] = 19.0
    assert (shares.of(1), shares.of(2)) == (6.0, 2.0)
    shares.end(1)
    spent[0] = 20.0
    assert shares.of(2) == 3.0


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks who is there: that thread would outlive the test, and end pytest's process a minute on."""
    monkeypatch.setattr(SharedProcess, "_watch", lambda self: None)


def test_it_admits_as_many_as_it_has_places(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[Any] = []
    monkeypatch.setattr(shared_process, "LOOK", 0.01)
    monkeypatch.setattr(shared_process, "end_process", lambda: ended.append("ended"))
    worker = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    process = SharedProcess(places=1, threads=1, gpus=None)
    assert process.admits(worker.pid)
    assert process.admits(worker.pid)
    assert not process.admits(os.getpid())
    worker.kill()
    worker.wait()
    assert not lives(worker.pid)
    while not ended:  # its last worker has died
        time.sleep(0.01)
    assert ended == ["ended"]
    process._meeting.__exit__(None, None, None)


def test_what_is_never_looked_at_again_is_put_aside_before_anybody_trains(unwatched: None) -> None:
    """When the first job ends others are alive: what is in a circle then would keep its memory."""
    gc.unfreeze()
    process = SharedProcess(places=1, threads=1, gpus=None)
    assert gc.get_freeze_count()
    process._meeting.__exit__(None, None, None)
    gc.unfreeze()


def test_it_ends_where_nobody_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who made it has died meanwhile: it is nobody's, and Ray would keep it for as long as its cluster."""
    ended = threading.Event()
    monkeypatch.setattr(shared_process, "LOOK", 0.01)
    monkeypatch.setattr(shared_process, "UNMET", 0.05)
    monkeypatch.setattr(shared_process, "end_process", ended.set)
    process = SharedProcess(places=1, threads=1, gpus=None)
    assert ended.wait(30)
    process._meeting.__exit__(None, None, None)


def test_what_a_dead_worker_asked_keeps_no_thread(
    unwatched: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each call has a thread of the process; there are so many, and then none answers."""
    go_on = threading.Event()

    def slow(*_: Any) -> Iterator[None]:
        go_on.wait()
        yield None

    monkeypatch.setattr(training, "alone", slow)
    process = SharedProcess(places=1, threads=1, gpus=None)
    assert process.admits(os.getpid())
    process.begin(os.getpid(), TrialJob(1, 1, {}, str(tmp_path), None, 0), "tests.fakes", "cpu")
    asking = threading.Thread(target=process.heard, args=(os.getpid(),), daemon=True)
    asking.start()
    closing = threading.Thread(target=process._trainings[os.getpid()].close)
    closing.start()
    go_on.set()
    closing.join()
    asking.join(30)
    assert not asking.is_alive()
    process._meeting.__exit__(None, None, None)
