"""What does a run tell the person who started it? The store's events say the same, for later."""

import sys
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple, Protocol

from sweeper.results.progress_estimate import ProgressEstimate


class Status(NamedTuple):
    """The sweep at a glance."""

    sweep: str
    states: Mapping[str, int]  # trials by state, repeats not counted
    progress: ProgressEstimate
    metric: str
    best: float | None
    best_trial: int | None
    slots: int


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

    def started(self, trial: int | None, text: str) -> None:
        self.note(text)

    def rows(self, trial: int, step: int, values: Mapping[str, float]) -> None:
        """Nothing: the dashboard and `status` show curves."""

    def ended(self, trial: int | None, state: str, text: str) -> None:
        self.note(text)

    def note(self, text: str) -> None:
        print(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}", file=sys.stderr, flush=True)

    def status(self, status: Status) -> None:
        """Nothing: every line here is an event."""

    def close(self) -> None: ...
