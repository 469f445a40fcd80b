"""Whose fault is what a trainer raises? And what is tried again is given up one day."""

import errno
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sweeper.driver.failures import (
    Again,
    BranchGone,
    BrokenDevice,
    Configuration,
    Damaged,
    Environment,
    GivenUp,
    Lost,
    OutOfMemory,
    Silent,
    Stale,
    Unready,
    failure_of,
)
from sweeper.store.queries import Reader
from tests.sweeper.driving import make_spec, opened, trial_of
from trainer.config.problems import InvalidConfig, MissingFiles
from trainer.errors import (
    CheckpointError,
    DamagedBranch,
    DamagedCheckpoint,
    DataError,
    DiskFull,
    EnvironmentFault,
    MissingCheckpoint,
    OtherRun,
    StaleAttempt,
    TrainingError,
)
from trainer.evaluation.record import Report

TRAINER = "trainer.training.train"


@pytest.mark.parametrize(
    ("raised", "failure"),
    [
        (TrainingError("diverged at step 3"), Configuration("diverged at step 3")),
        (InvalidConfig([]), Configuration("")),
        (MissingFiles([]), Environment("")),
        (RuntimeError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be"),
         BrokenDevice("CUDA error: an illegal memory access was encountered")),
        (RuntimeError("CUDA error: unspecified launch failure"),
         BrokenDevice("CUDA error: unspecified launch failure")),
        (RuntimeError("the capture of a CUDA graph failed (x); with compute.graph: off there is none"),
         BrokenDevice("the capture of a CUDA graph failed (x); with compute.graph: off there is none")),
        (RuntimeError('captures_underway.empty() INTERNAL ASSERT FAILED at "x.cpp":1'),
         BrokenDevice('captures_underway.empty() INTERNAL ASSERT FAILED at "x.cpp":1')),
        (RuntimeError("CUDA error: out of memory"), OutOfMemory("out of memory: CUDA error: out of memory")),
        (PermissionError(errno.EPERM, "Operation not permitted", "a/rows.jsonl"),
         Environment("a/rows.jsonl: Operation not permitted")),
        (OSError(errno.EROFS, "Read-only file system"), Environment("Read-only file system")),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "x"),
         Environment("x: No such file or directory")),
        (RuntimeError("I/O error: Permission denied (os error 13)"),
         Environment("I/O error: Permission denied (os error 13)")),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
         Environment("Connection reset by peer")),
        (TimeoutError("timed out"), Environment("timed out")),
        (DiskFull("the disk is full: x"), Environment("the disk is full: x")),
        (OtherRun("x holds another run"), Environment("x holds another run")),
        (EnvironmentFault("another process"), Environment("another process")),
        (DataError("no text"), Environment("no text")),
        (CheckpointError("was trained on other data"), Environment("was trained on other data")),
        (MissingCheckpoint("no best"), Damaged("no best")),
        (DamagedCheckpoint("cut"), Damaged("cut")),
        (DamagedBranch("no pretrain"), BranchGone("no pretrain")),
        (StaleAttempt("3 has been here", 3), Stale("3 has been here", 3)),
        (MemoryError(), OutOfMemory("out of memory: MemoryError")),
        (RuntimeError("CUDA out of memory."), OutOfMemory("out of memory: CUDA out of memory.")),
    ],
)  # fmt: skip
def test_whose_fault_it_is(raised: Exception, failure: Any) -> None:
    assert failure_of(raised) == failure


def test_what_is_not_known_is_the_trials_with_the_end_of_its_traceback() -> None:
    try:
        raise KeyError("a bug")
    except KeyError as raised:
        failure = failure_of(raised)
    assert isinstance(failure, Configuration)
    assert failure.error.splitlines()[-1] == "KeyError: 'a bug'"


@pytest.mark.parametrize(
    "failure",
    [
        Lost(),
        Silent(),
        Unready(),
        BrokenDevice("c"),
        OutOfMemory("m"),
        Damaged("d"),
        BranchGone("b"),
        Stale("s", 4),
    ],
)
def test_what_is_tried_again_is_given_up_one_day(failure: Again, place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec("search.trials=1"), place[1]) as driver:
        for attempt in range(failure.most + 1):
            job = trial_of(driver)
            assert job.attempt == attempt + 1 + (failure.kind == "stale") * 3 * (attempt > 0)
            driver.fail(job, failure)
        ended = failure.given_up(failure.most + 1)
        if isinstance(ended, Environment):
            assert driver.stop_reason is not None
            assert (driver.stop_reason.reason, driver.stop_reason.code) == (ended.error, 7)
            assert driver.states() == {"queued": 1}
        else:
            assert driver.states() == {ended.state: 1}
    with closing(Reader(place[0])) as reader:
        said = [event.text for event in reader.events(1) if event.kind == failure.kind]
    assert said == [f"trial 1 {failure.said('its first step')}"] * failure.most
    assert isinstance(ended, Configuration | GivenUp | Environment)


@pytest.mark.parametrize("failure", [Unready(), BrokenDevice("c"), Damaged("d"), BranchGone("b")])
def test_what_happens_to_a_long_trial_now_and_then_does_not_add_up(
    failure: Again, place: tuple[str, Path]
) -> None:
    """Nor does a kill of the driver make it. Without a further checkpoint it does add up."""
    spec = make_spec("search.trials=1", "trainer.finetune.steps=40")
    for step in range(2, 30, 2):
        with opened(place[0], spec, place[1]) as driver:
            job = trial_of(driver)
            assert driver.take(job, [Report(step, {"val_ppl": 9.0})])
            driver.fail(job, failure)
            assert driver.stop_reason is None
    with opened(place[0], spec, place[1]) as driver:
        for _ in range(failure.most):
            job = trial_of(driver)
            assert driver.take(job, [Report(28, {"val_ppl": 9.0})])  # its last row, again
            driver.fail(job, failure)
        assert driver.stop_reason is not None or driver.states() == {"failed": 1}


def test_memory_that_lacked_once_is_not_forgotten(place: tuple[str, Path]) -> None:
    with opened(place[0], make_spec("search.trials=1"), place[1]) as driver:
        driver.fail(trial_of(driver), OutOfMemory("m"))
        job = trial_of(driver)
        assert driver.take(job, [Report(2, {"val_ppl": 9.0})])
        driver.fail(job, Damaged("d"))
        job = trial_of(driver)
        assert driver.take(job, [Report(4, {"val_ppl": 9.0})])
        assert job.values["accumulate"] == 2
        driver.fail(job, OutOfMemory("m"))
        assert driver.states() == {"failed": 1}
