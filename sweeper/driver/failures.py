"""Which failures are tried again, and how often? And which are not the trials' own, and stop the sweep?

What is tried again is counted in a trial's events, so a kill forgets none. An error of the configuration is
not among them: it would only fail again.
"""

import re
from typing import NamedTuple

from sweeper.driver.jobs import Job, ScoringJob, StageJob
from sweeper.driver.lease import HeldSweep

ALIKE = 3  # failures at least, before what is wrong is taken not to be the trials'
NUMBERS = re.compile(r"\b[0-9a-f]*\d[\w.+-]*")  # what may differ between two failures that are alike
NOTHING_TO_RANK = 5  # exit code


class Failure(NamedTuple):
    kind: str  # of the event that says so
    most: int  # times that it is tried again
    text: str  # what happened, and what is done about it
    often: str  # why it is given up

    def said(self, job: Job) -> str:
        if isinstance(job, ScoringJob):  # it has no checkpoints of its own
            return f"{job.name} {self.text.partition(';')[0]}; it is begun again"
        return f"{job.name} {self.text}"


LOST = Failure("lost", 3, "lost its worker; it goes on from its last checkpoint", "its worker died {} times")
SILENT = Failure(
    "silent",
    1,
    "gave no sign of life and was ended; it goes on from its last checkpoint",
    "it fell silent {} times",
)
MEMORY = Failure(
    "memory",
    1,
    "ran out of memory; it goes on from its last checkpoint, in micro-batches of half the size",
    "it ran out of memory {} times",
)


def is_of_memory(error: str) -> bool:
    """error: as a worker describes it."""
    return error.startswith("out of memory")


class Retries:
    def __init__(self, held: HeldSweep):
        self._held = held
        # Of stages by key and kind, of scores by name and kind: in this driver's time.
        self._of_stages: dict[tuple[str, str], int] = {}

    def count(self, job: Job | int, failure: Failure) -> int:
        """How often it was tried again after such a failure. job: or a trial's number."""
        if isinstance(job, StageJob | ScoringJob):
            return self._of_stages.get((_key(job), failure.kind), 0)
        trial = job if isinstance(job, int) else job.trial
        events = self._held.reader.events(self._held.record.id, trial)
        return sum(event.kind == failure.kind for event in events)

    def note(self, job: Job, failure: Failure) -> None:
        """Of a stage or a score; a trial's event says it."""
        if isinstance(job, StageJob | ScoringJob):
            self._of_stages[_key(job), failure.kind] = self.count(job, failure) + 1

    def pieces(self, key: str | int) -> int:
        """Micro-batches that a batch of the stage, or the trial, is to be trained in."""
        if isinstance(key, int):
            return int(2 ** self.count(key, MEMORY))
        return int(2 ** self._of_stages.get((key, MEMORY.kind), 0))


class CircuitBreaker:
    """A sweep whose first trials all fail alike is stopped: what is wrong is not the trials'.

    Of one driver: whoever starts the sweep again, when that is mended, is given another chance.
    """

    def __init__(self, slots: int, some_have_completed: bool):
        self._least = max(ALIKE, slots + 1)
        self._off = some_have_completed
        self._failures: list[str] = []

    def saw(self, state: str, error: str) -> str:
        """A trial has ended. '' where the sweep goes on; else why not."""
        self._off = self._off or state not in ("failed", "lost")
        if self._off:
            return ""
        self._failures.append(error)
        if len({_kind(each) for each in self._failures}) > 1:
            self._off = True
        if self._off or len(self._failures) < self._least:
            return ""
        return f"the first {len(self._failures)} trials failed alike: {_last_line(error)}"


def _key(job: StageJob | ScoringJob) -> str:
    return job.key if isinstance(job, StageJob) else job.name


def _kind(error: str) -> str:
    return NUMBERS.sub("#", _last_line(error))


def _last_line(error: str) -> str:
    return error.strip().splitlines()[-1] if error.strip() else "no error was given"
