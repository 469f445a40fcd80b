"""What does a run tell the person who started it? The store's events say the same, for later."""

import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from sweeper.results.progress_estimate import Pretrain, ProgressEstimate

MINUTE = 60.0  # seconds


class Status(NamedTuple):
    """The sweep at a glance."""

    sweep: str
    states: Mapping[str, int]  # trials by state, repeats not counted
    progress: "ProgressEstimate"
    metric: str
    best: float | None  # of a single run: what a configuration is worth, the board says
    best_trial: int | None
    slots: int
    pretrains: "tuple[Pretrain, ...]" = ()  # that run


class Progress(Protocol):
    """Called from the driver's main thread only. Write through sys.stderr as it is at the time of the call:
    a run points file descriptor 2 at its log file, so that Ray's chatter goes there, and keeps sys.stderr."""

    def started(self, trial: int | None, text: str) -> None:
        """A trial (or, with None, a pretrain stage) has been handed to a worker."""

    def rows(self, trial: int, step: int, values: Mapping[str, float]) -> None:
        """Reported values are in the store."""

    def ended(self, trial: int | None, state: str, text: str) -> None:
        """A trial (or a stage) is complete, failed, lost or stopped; or queued: handed back."""

    def note(self, text: str) -> None:
        """Anything else worth a line: resumed, interrupted, the search has ended, how to go on."""

    def status(self, status: Status) -> None:
        """About once a second."""

    def close(self) -> None: ...


class Lines:
    """Plain, dated lines on stderr: what a log file or a pipe wants."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._said = clock()  # when something last was

    def started(self, trial: int | None, text: str) -> None:
        self.note(text)

    def rows(self, trial: int, step: int, values: Mapping[str, float]) -> None:
        """Nothing: the dashboard and `status` show curves."""

    def ended(self, trial: int | None, state: str, text: str) -> None:
        self.note(text)

    def note(self, text: str) -> None:
        self._said = self._clock()
        print(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}", file=sys.stderr, flush=True)

    def status(self, status: Status) -> None:
        """How far pretrains are, where nothing else was said for a minute; every other line is an event."""
        if status.pretrains and self._clock() - self._said >= MINUTE:
            self.note("; ".join(each.words() for each in status.pretrains))

    def close(self) -> None: ...
