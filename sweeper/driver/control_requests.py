"""What people want of a running sweep: that it, or a trial of it, stop, pause or go on."""

from typing import Protocol

from sweeper.driver.control_store import Requests, Wish
from sweeper.driver.event_log import Journal
from sweeper.driver.stop_reason import STOPPED, Ending
from sweeper.driver.trials import Trials


class Doer(Protocol):
    """What can be done at once."""

    def stop(self, ending: Ending) -> None: ...

    def hold(self, paused: bool) -> None:
        """The whole sweep."""

    def drop(self, trial: int) -> None:
        """One that no worker has is ended."""

    def take_out(self, trial: int) -> None:
        """One that is queued is paused."""

    def put_back(self, trial: int) -> None:
        """One that is paused is queued."""


class Wishes:
    """A live trial is stopped or paused at its next report; all else at once."""

    def __init__(self, requests: Requests, trials: Trials, journal: Journal):
        self._requests, self._trials, self._journal = requests, trials, journal
        self._pending: dict[int, Wish] = {}  # by live trial

    def hear(self, doer: Doer) -> None:
        for wish in self._requests.wishes():
            if wish.trial is None:
                self._of_sweep(wish, doer)
            else:
                self._of_trial(wish, wish.trial, doer)

    def of(self, trial: int) -> str:
        """stop or pause, of a live trial; '' where nobody wants either."""
        return self._pending[trial].verb if trial in self._pending else ""

    def fulfilled(self, trial: int) -> None:
        """It is stopped, paused, or has ended by itself."""
        if trial in self._pending:
            self._requests.done(self._pending.pop(trial))

    def _of_sweep(self, wish: Wish, doer: Doer) -> None:
        if wish.verb == "stop":
            doer.stop(STOPPED)
        else:
            doer.hold(wish.verb == "pause")
        self._requests.done(wish)

    def _of_trial(self, wish: Wish, trial: int, doer: Doer) -> None:
        state = self._trials.states.get(trial)
        if state == "running":
            self.fulfilled(trial)  # a later wish takes the place of an earlier one
            if wish.verb != "resume":
                self._pending[trial] = wish
                return
        elif state in ("queued", "paused") and wish.verb == "stop":
            doer.drop(trial)
        elif state == "queued" and wish.verb == "pause":
            doer.take_out(trial)
        elif state == "paused" and wish.verb == "resume":
            doer.put_back(trial)
        self._requests.done(wish)
