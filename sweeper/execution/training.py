"""A job that is trained in this process: what it says, and its end."""

import gc
import os
import signal
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from sweeper.driver.failures import Failure, failure_of
from sweeper.driver.jobs import Job, Reports
from sweeper.execution.mirror import mirrored
from sweeper.execution.prefetch import NotReady, Prefetch
from sweeper.execution.usage import Sampler
from sweeper.files.remote import is_remote
from sweeper.store.records import Usage
from trainer.evaluation.record import Report
from trainer.network import captures

BATCH = 0.1  # seconds: a trainer that reports faster has its reports sent together


class Heard(NamedTuple):
    """What a job has said since it was asked last."""

    reports: tuple[Report, ...]
    over: bool
    failure: Failure | None  # why it is over, where it did not come to its end
    cpu_seconds: float  # since it began
    usage: Usage | None  # of its process, now and then


class Here:
    """Jobs are trained in this process, one after another."""

    def __init__(self, gpu: bool):
        self._sampler = Sampler(gpu)

    def begin(self, job: Job, trainer: str, device: str) -> "Training":
        return Training(job, trainer, device, self._sampler)

    def end(self) -> None:
        """What this process has of a device is of no use any more."""
        end_process()


class Training:
    """From its first step on until it is closed.

    It goes on in a thread of its own while the driver deals with what was reported: the driver, its store and
    the way there are never on a trial's path.
    """

    def __init__(self, job: Job, trainer: str, device: str, sampler: Sampler):
        run = mirrored if is_remote(job.folder) else alone
        self._sampler, self._cpu_began = sampler, time.process_time()
        self._run: Prefetch[Report | None] | None = Prefetch(run(job, trainer, device))

    def heard(self) -> Heard:
        """Its next report, and what follows at once; or that it is alive. Once it is over it is closed."""
        assert self._run is not None, "a job that is over is not asked for more"
        send = time.monotonic() + BATCH
        reports: list[Report] = []
        over, failure = False, None
        try:
            report = self._run.next()
            while report is not None:
                reports.append(report)
                report = self._run.next(timeout=max(0.0, send - time.monotonic()))
        except NotReady:
            pass
        except StopIteration:
            over = True
        except Exception as raised:
            over, failure = True, failure_of(raised)
        if over:
            self.close()
        cpu_seconds = time.process_time() - self._cpu_began
        return Heard(tuple(reports), over, failure, cpu_seconds, self._sampler.due())

    def close(self) -> None:
        """The generator saves a checkpoint in its `finally`. Once."""
        run, self._run = self._run, None
        if run is None:
            return
        try:
            run.close()
        except Exception:
            traceback.print_exc()  # its last checkpoint stands


def end_process() -> None:
    """This one, at once, whatever hangs in it."""
    os.kill(os.getpid(), signal.SIGKILL)


def keep_imports() -> None:
    """What they left behind is there to stay: 0.14 s to look through at every trial. Where nobody trains, for
    what is in a circle with anything else that is alive now is never given back."""
    if not gc.get_freeze_count():
        gc.freeze()


def memory_given_back(gpu: bool) -> None:
    """After a job."""
    gc.collect()
    keep_imports()
    if gpu:
        captures.memory_given_back()


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
