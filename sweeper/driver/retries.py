"""Which failures are tried again, and how often: a trial's are counted in its events, so a kill forgets none.

An error of the configuration is not among them: it would only fail again.
"""

from typing import NamedTuple

from sweeper.driver.jobs import Job, StageJob
from sweeper.store.queries import Reader


class Failure(NamedTuple):
    kind: str  # of the event that says so
    most: int  # times that it is tried again
    text: str  # what happened, and what is done about it
    often: str  # why it is given up

    def said(self, job: Job) -> str:
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
    def __init__(self, sweep: int, reader: Reader):
        self._sweep, self._reader = sweep, reader
        self._of_stages: dict[tuple[str, str], int] = {}  # by key and kind, in this driver's time

    def count(self, job: Job | int, failure: Failure) -> int:
        """How often it was tried again after such a failure. job: or a trial's number."""
        if isinstance(job, StageJob):
            return self._of_stages.get((job.key, failure.kind), 0)
        trial = job if isinstance(job, int) else job.trial
        return sum(event.kind == failure.kind for event in self._reader.events(self._sweep, trial))

    def note(self, job: Job, failure: Failure) -> None:
        """Of a stage; a trial's event says it."""
        if isinstance(job, StageJob):
            self._of_stages[job.key, failure.kind] = self.count(job, failure) + 1

    def pieces(self, key: str | int) -> int:
        """Micro-batches that a batch of the stage, or the trial, is to be trained in."""
        if isinstance(key, int):
            return int(2 ** self.count(key, MEMORY))
        return int(2 ** self._of_stages.get((key, MEMORY.kind), 0))
