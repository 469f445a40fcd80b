"""The warm process that trains: one Ray actor, one job after another, torch imported once.

Training goes on in a thread of its own while the driver deals with what was reported: the driver, its
store and the way there are never on a trial's path.
"""

import gc
import os
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from ray import tune

from sweeper.driver.failures import BrokenDevice, failure_of
from sweeper.driver.jobs import Cost, Job, News, Reports
from sweeper.execution.mirror import mirrored
from sweeper.execution.prefetch import NotReady, Prefetch
from sweeper.execution.usage import Sampler
from sweeper.files.remote import is_remote
from trainer.evaluation.record import Report

BATCH = 0.1  # seconds: a trainer that reports faster has its reports sent together


class Worker(tune.Trainable):
    """A step is the trainer's next: until it has reported, or said that it is alive.

    A job that raises is a result like any other, so that the process lives on for the next one.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self._sampler = Sampler(gpu=bool(config["gpu"]))
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._close()
        self._begin(new_config)
        return True

    def cleanup(self) -> None:
        self._close()

    def _begin(self, config: dict[str, Any]) -> None:
        """The job is trained from the first step on: Tune may have an actor made for a trial that another
        actor, which was free sooner, is then given."""
        self._gpu, self._broken = config["gpu"], False
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        job, device = config["job"], "auto" if self._gpu else "cpu"
        run = mirrored if is_remote(job.folder) else alone
        self._to_run: Reports | None = run(job, config["trainer"], device)
        self._run: Prefetch[Report | None] | None = None
        self._began, self._cpu_began = time.monotonic(), time.process_time()

    def _close(self) -> None:
        """The generator saves a checkpoint in its `finally`; then its memory is given back. Once a job."""
        run, self._run, self._to_run = self._run, None, None
        if run is None:
            return
        try:
            run.close()
        except Exception:
            traceback.print_exc()  # its last checkpoint stands
        del run
        gc.collect()
        if not gc.get_freeze_count():
            gc.freeze()  # what imports left behind is there to stay: 0.14 s to look through at every trial
        torch = sys.modules.get("torch")
        if torch is not None and self._gpu:
            torch.cuda.empty_cache()

    def step(self) -> dict[str, Any]:
        """Where a GPU's context is broken, the next one after that is said ends this process: no other job is
        to be given to it."""
        if self._broken:
            os.kill(os.getpid(), signal.SIGKILL)
        send = time.monotonic() + BATCH
        reports: list[Report] = []
        over, failure, run = False, None, self._running()
        try:
            report = run.next()
            while report is not None:
                reports.append(report)
                report = run.next(timeout=max(0.0, send - time.monotonic()))
        except NotReady:
            pass
        except StopIteration:
            over = True
        except Exception as raised:
            over, failure = True, failure_of(raised)
        if over:
            self._close()
        self._broken = isinstance(failure, BrokenDevice)
        news = News(tuple(reports), self._cost(), over, failure, self._name, self._sampler.due())
        return {"news": news, "done": over and not self._broken}

    def _running(self) -> "Prefetch[Report | None]":
        if self._run is None:
            assert self._to_run is not None, "a job that is over is not asked for more"
            self._run = Prefetch(self._to_run)
        return self._run

    def _cost(self) -> Cost:
        seconds = time.monotonic() - self._began
        return Cost(time.process_time() - self._cpu_began, seconds * self._gpu)


def alone(job: Job, trainer: str, device: str) -> Reports:
    """The job, once its folder is this process's own.

    The worker of a driver that was killed can outlive it by seconds, and another sweep may be making the
    same stage: two processes never train in one folder at once.
    """
    folder = Path(job.folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    while True:
        try:
            lock.acquire(blocking=False)
            break
        except Timeout:
            yield None
            time.sleep(0.2)
    try:
        yield from job.run(trainer, device)
    finally:
        lock.release()


def environment(threads: int) -> dict[str, str]:
    """Of every worker process, from its first instruction on: one core each, memory kept between steps."""
    return {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "MALLOC_ARENA_MAX": "1",  # the training thread's memory is kept like the main thread's
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": "100000000000",
        "TOKENIZERS_PARALLELISM": "false",
    }
