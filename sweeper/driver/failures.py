"""What has gone wrong with a job, and whose fault is it? Each class of failure says what becomes of the job.

Three kinds: the configuration's, which is the trial's own and final; the environment's (files, disks, data),
for which no trial is to blame: the driver stops, and everything goes on with the next one; and the
infrastructure's, after which the job is handed back and tried again, a few times.
"""

import math
import re
import traceback
from dataclasses import dataclass
from typing import ClassVar

from trainer.config.problems import InvalidConfig, MissingFiles
from trainer.disk import is_full, no_room
from trainer.errors import (
    CheckpointError,
    DamagedBranch,
    DamagedCheckpoint,
    DataError,
    EnvironmentFault,
    MissingCheckpoint,
    StaleAttempt,
    TrainingError,
    is_of_memory,
)
from trainer.evaluation.record import Report
from trainer.metrics import BY_NAME

ENVIRONMENT = 7  # exit code: the machine, or what is on it, lacks something
TRACE_LINES = 12
# What CUDA, or a library of it, says in a process that it will do nothing more for.
_OF_A_BROKEN_DEVICE = re.compile(
    r"device-side assert|illegal memory access|misaligned address|illegal instruction|illegal address"
    r"|unspecified launch failure|launch timed out|hardware stack error|uncorrectable (ECC|NVLink) error"
    r"|capture of a CUDA graph failed|captures_underway|stream is capturing"
    r"|context is destroyed|CUBLAS_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)|CUDNN_STATUS_EXECUTION_FAILED"
)
_OF_THE_SYSTEM = re.compile(r"\bos error \d+\b")  # of libraries in Rust, whose errors are none of Python's


# --- final --------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Configuration:
    """The trial's own: it would only fail again."""

    error: str
    state: ClassVar[str] = "failed"


@dataclass(frozen=True)
class GivenUp:
    """Nobody's that is known: what happened to it has happened too often."""

    error: str
    state: ClassVar[str] = "lost"


# --- of what surrounds it -----------------------------------------------------------------------
@dataclass(frozen=True)
class Environment:
    """The job is handed back, and the driver stops."""

    error: str
    code: ClassVar[int] = ENVIRONMENT


Ended = Configuration | GivenUp | Environment


# --- tried again: most times, each said by an event of the kind -----------------------------------
@dataclass(frozen=True)
class Lost:
    """Its worker died."""

    error: str = ""
    kind: ClassVar[str] = "lost"
    most: ClassVar[int] = 3

    def said(self, beginning: str) -> str:
        return "lost its worker; it goes on from its last checkpoint"

    def given_up(self, times: int) -> Ended:
        return GivenUp(f"its worker died {times} times")


@dataclass(frozen=True)
class Silent:
    """Its worker gave no sign of life, and was ended."""

    error: str = ""
    kind: ClassVar[str] = "silent"
    most: ClassVar[int] = 1

    def said(self, beginning: str) -> str:
        return "gave no sign of life and was ended; it goes on from its last checkpoint"

    def given_up(self, times: int) -> Ended:
        return GivenUp(f"it fell silent {times} times")


@dataclass(frozen=True)
class Unready:
    """The worker that was made for it never became one, and was ended: it has run nothing of the job."""

    error: str = "no sign of life"
    kind: ClassVar[str] = "unready"
    most: ClassVar[int] = 2

    def said(self, beginning: str) -> str:
        return f"waits for another worker: its own never became ready ({self.error}) and was ended"

    def given_up(self, times: int) -> Ended:
        return Environment(f"no worker becomes ready: {times}, one after another, gave no sign of life")


@dataclass(frozen=True)
class BrokenDevice:
    """What its worker's process has of a GPU is of no use any more: that process ends."""

    error: str
    kind: ClassVar[str] = "device"
    most: ClassVar[int] = 2

    def said(self, beginning: str) -> str:
        return f"ended its worker; it goes on from its last checkpoint in another: {self.error}"

    def given_up(self, times: int) -> Ended:
        return Configuration(f"{self.error}, in {times} fresh workers one after another")


@dataclass(frozen=True)
class OutOfMemory:
    error: str
    kind: ClassVar[str] = "memory"
    most: ClassVar[int] = 1

    def said(self, beginning: str) -> str:
        return "ran out of memory; it goes on from its last checkpoint, in micro-batches of half the size"

    def given_up(self, times: int) -> Ended:
        return Configuration(self.error)


@dataclass(frozen=True)
class Damaged:
    """What its folder holds is not what was written there. Its worker has set that aside."""

    error: str
    kind: ClassVar[str] = "damaged"
    most: ClassVar[int] = 2

    def said(self, beginning: str) -> str:
        return f"begins again from {beginning}: {self.error}"

    def given_up(self, times: int) -> Ended:
        return Environment(self.error)


@dataclass(frozen=True)
class BranchGone:
    """The pretrain that it was to begin with: that is looked at again, and trained again where it is gone."""

    error: str
    kind: ClassVar[str] = "branch"
    most: ClassVar[int] = 2

    def said(self, beginning: str) -> str:
        return f"waits for its pretrain, which is looked at again: {self.error}"

    def given_up(self, times: int) -> Ended:
        return Environment(self.error)


@dataclass(frozen=True)
class Stale:
    """The store is older than the folder. attempt: the one that has been there."""

    error: str
    attempt: int
    kind: ClassVar[str] = "stale"
    most: ClassVar[int] = 2

    def said(self, beginning: str) -> str:
        return f"goes on as attempt {self.attempt + 1}: {self.error}"

    def given_up(self, times: int) -> Ended:
        return Environment(self.error)


Again = Lost | Silent | Unready | BrokenDevice | OutOfMemory | Damaged | BranchGone | Stale
Failure = Ended | Again


def failure_of(raised: Exception) -> Failure:
    """What a trainer has raised: a sentence where it is known what went wrong, else the traceback's end."""
    text = str(raised).strip()
    if is_full(raised):
        return Environment(str(no_room(raised)))
    if isinstance(raised, StaleAttempt):
        return Stale(text, raised.attempt)
    if isinstance(raised, DamagedBranch):
        return BranchGone(text)
    if isinstance(raised, DamagedCheckpoint | MissingCheckpoint):
        return Damaged(text)
    if isinstance(raised, EnvironmentFault | CheckpointError | DataError | MissingFiles):
        return Environment(text)
    if isinstance(raised, TrainingError | InvalidConfig):
        return Configuration(text)
    if _OF_A_BROKEN_DEVICE.search(text):
        return BrokenDevice(text.splitlines()[0])
    if is_of_memory(raised):
        return OutOfMemory(f"out of memory: {text or type(raised).__name__}")
    if is_of_the_environment(raised) or isinstance(raised, ConnectionError | TimeoutError):
        return Environment(in_words(raised))
    lines = "".join(traceback.format_exception(raised)).strip().splitlines()
    return Configuration("\n".join(lines[-TRACE_LINES:]))


def is_of_the_environment(raised: Exception) -> bool:
    """A file, a folder, a disk. A driver's connection that breaks, to Ray for one, is another matter."""
    of_files = isinstance(raised, OSError) and not isinstance(raised, ConnectionError | TimeoutError)
    return of_files or isinstance(raised, MissingFiles) or bool(_OF_THE_SYSTEM.search(str(raised)))


def in_words(error: Exception) -> str:
    """'sweeps.files/trials/1/3/ledger.txt: Permission denied'."""
    if not isinstance(error, OSError) or error.strerror is None:
        return " ".join(str(error).split()) or type(error).__name__
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def not_finite(report: Report) -> str:
    """A sentence where what the search or the board goes by is no number; '' where all is well."""
    for name, value in report.values.items():
        if name in BY_NAME and BY_NAME[name].direction != "none" and not math.isfinite(value):
            return f"{name} is {value} at step {report.step}"
    for each in report.evaluations:
        if not all(map(math.isfinite, (each.nelbo, *each.nats_D))):
            return f"the evaluation on {each.split} is not finite at step {report.step}"
    return ""
