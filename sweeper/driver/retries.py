"""How often is a failure tried again? And which failures are not the trials', and stop the sweep?

What is tried again is counted in a trial's events, so a kill forgets none; those from before somebody asked
to retry it count no more. What may happen to any long trial now and then is counted since it last came
further.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from sweeper.driver.event_log import PROGRESS, EventLog
from sweeper.driver.failures import (
    Again,
    BranchGone,
    BrokenDevice,
    Damaged,
    Lost,
    OutOfMemory,
    Silent,
    Stale,
    Unready,
)
from sweeper.driver.jobs import Job, ScoringJob, StageJob, TrialJob
from sweeper.driver.lease import HeldSweep
from sweeper.store.records import RETRIED, TrialRecord

ALIKE = 3  # failures at least, before what is wrong is taken not to be the trials'
NUMBERS = re.compile(r"\b[0-9a-f]*\d[\w.+-]*")  # what may differ between two failures that are alike
SINCE_PROGRESS = tuple(each.kind for each in (Unready, BrokenDevice, Damaged, BranchGone, Stale))
# What a job may do to all that are trained in its process. After so many of a kind it has one of its own:
# before it is given up it has been alone, so that it is given up for nothing that another did.
ENDS_PROCESSES = {Lost.kind: 2, Silent.kind: 1, BrokenDevice.kind: 1}
NOTHING_TO_RANK = 5  # exit code


J = TypeVar("J", StageJob, TrialJob, ScoringJob)


class Retries:
    def __init__(self, held: HeldSweep, events: EventLog):
        self._held, self._events = held, events
        self._unharmed: set[int] = set()  # trials that have come further since anything happened to them
        # Of stages by key and kind, of scores by name and kind: in this driver's time.
        self._of_stages: dict[tuple[str, str], int] = {}

    def count(self, job: Job | int, kind: str) -> int:
        """How often it was tried again after such a failure. job: or a trial's id."""
        if isinstance(job, StageJob | ScoringJob):
            return self._of_stages.get((_key(job), kind), 0)
        return self._counts(job if isinstance(job, int) else job.trial)[kind]

    def _counts(self, trial: int) -> Counter[str]:
        """By kind."""
        counts = Counter[str]()
        for event in self._held.reader.events(self._held.record.id, trial):
            if event.kind == RETRIED:
                counts.clear()
            elif event.kind == PROGRESS:
                for kind in SINCE_PROGRESS:
                    del counts[kind]
            else:
                counts[event.kind] += 1
        return counts

    def note(self, job: Job, failure: Again) -> None:
        """Of a stage or a score; a trial's event says it."""
        if isinstance(job, StageJob | ScoringJob):
            self._of_stages[_key(job), failure.kind] = self.count(job, failure.kind) + 1
        else:
            self._unharmed.discard(job.trial)

    def came_further(self, job: StageJob | TrialJob) -> None:
        """It has a checkpoint, which is whole, of a later step than any before."""
        if isinstance(job, StageJob):
            for kind in SINCE_PROGRESS:
                self._of_stages.pop((job.key, kind), None)
        elif job.trial not in self._unharmed:
            self._unharmed.add(job.trial)
            # Nothing has happened to a first attempt. To look for it goes through all events of the sweep.
            if job.attempt > 1 and self._counts(job.trial).keys() & SINCE_PROGRESS:
                self._events.came_further(job)

    def pieces(self, key: str | int) -> int:
        """Micro-batches that a batch of the stage, or the trial, is to be trained in."""
        kind = OutOfMemory.kind
        times = self.count(key, kind) if isinstance(key, int) else self._of_stages.get((key, kind), 0)
        return int(2**times)

    def parted(self, job: J) -> J:
        """Where its process has ended too often, with whatever else was trained in it: in one of its own."""
        if isinstance(job, TrialJob):
            counts = self._counts(job.trial)
        else:
            counts = Counter({kind: self.count(job, kind) for kind in ENDS_PROCESSES})
        return job._replace(apart=any(counts[kind] >= most for kind, most in ENDS_PROCESSES.items()))


class CircuitBreaker:
    """A sweep whose first trials all fail alike is stopped: what is wrong is not the trials'.

    They are handed back: whoever starts the sweep again, when that is mended, has them run again.
    """

    def __init__(self, slots: int, earlier: Iterable[TrialRecord] = ()):
        """earlier: trials that have ended."""
        self._least = max(ALIKE, slots + 1)
        self._off = False
        self._errors: dict[int, str] = {}  # by trial
        for trial in earlier:
            self._see(trial.id, trial.state, trial.error)

    def saw(self, trial: int, state: str, error: str) -> str:
        """A trial is to end. '' where the sweep goes on; else why not."""
        self._see(trial, state, error)
        if self._off or len(self._errors) < self._least:
            return ""
        return f"the first {len(self._errors)} trials failed alike: {_last_line(error)}"

    @property
    def tripped_by(self) -> list[int]:
        return list(self._errors)

    def _see(self, trial: int, state: str, error: str) -> None:
        self._off = self._off or state not in ("failed", "lost")
        self._errors[trial] = error
        self._off = self._off or len({_alike(each) for each in self._errors.values()}) > 1


def _key(job: StageJob | ScoringJob) -> str:
    return job.key if isinstance(job, StageJob) else job.name


def _alike(error: str) -> str:
    return NUMBERS.sub("#", _last_line(error))


def _last_line(error: str) -> str:
    return error.strip().splitlines()[-1] if error.strip() else "no error was given"
