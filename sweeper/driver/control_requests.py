"""What do people ask of a running sweep? That it, or one trial, stop, pause or go on; that it try more, or
again what has failed."""

from collections.abc import Sequence
from typing import Protocol

from sweeper.driver.event_log import EventLog
from sweeper.driver.extension import (
    RETRY,
    SETTLE,
    VERB,
    NoExtension,
    NotSettled,
    asked,
    asked_to_settle,
    extended,
    requested,
    settled,
    words_of,
)
from sweeper.driver.lease import HeldSweep
from sweeper.driver.stop_reason import STOPPED, StopReason
from sweeper.driver.trials import Trials
from sweeper.spec.spec import SweepSpec
from sweeper.store.records import ControlRecord

OF_A_DRIVER = ("stop", "pause", "resume")  # of a sweep or a trial
VERBS = (*OF_A_DRIVER, RETRY)  # an extension says how much, too


class Controlled(Protocol):
    """What can be done at once."""

    def stop(self, reason: StopReason) -> None: ...

    def hold(self, paused: bool) -> None:
        """The whole sweep."""

    def drop(self, trial: int) -> None:
        """One that no worker has is ended."""

    def take_out(self, trial: int) -> None:
        """One that is queued is paused."""

    def put_back(self, trial: int) -> None:
        """One that is paused is queued."""

    def run_again(self, trials: Sequence[int]) -> None:
        """Those that had ended, and are queued in the store."""


class ControlRequests:
    """A live trial is stopped or paused at its next report; all else at once.

    Each is said once, and done once: a driver that is killed in between leaves it to the next one.
    """

    def __init__(self, held: HeldSweep, trials: Trials, events: EventLog):
        self._held, self._trials, self._events = held, trials, events
        self._said: set[int] = set()
        self._pending: dict[int, ControlRecord] = {}  # by live trial

    def forget_old(self) -> None:
        """What the sweep itself was asked while another driver ran it: whoever starts it wants it to run."""
        for request in self._undone():
            if request.trial is None and request.verb in OF_A_DRIVER:
                self._done(request)

    def hear(self, driver: Controlled) -> None:
        for request in self._new():
            if request.verb == RETRY:
                self._retry(request, driver)
                continue
            with self._held.writer.together():  # it is said and done, and marked as done
                self._say(request)
                if request.trial is None:
                    self._of_sweep(request, driver)
                else:
                    self._of_trial(request, request.trial, driver)

    def of(self, trial: int) -> str:
        """stop or pause, of a live trial; '' where nobody asks for either."""
        return self._pending[trial].verb if trial in self._pending else ""

    def fulfilled(self, trial: int) -> None:
        """It is stopped, paused, or has ended by itself."""
        if trial in self._pending:
            self._done(self._pending.pop(trial))

    def want_more(self) -> bool:
        """Whether something was asked that a sweep which has come to its end goes on with."""
        return requested(self._undone())

    def extended(self, spec: SweepSpec) -> SweepSpec:
        """With as many trials as it is asked for; that is written with the request that is done by it."""
        for control, amount in asked(undone := self._undone()):
            try:
                spec = extended(spec, amount)
                with self._held.writer.together():
                    self._held.writer.extend(spec.search.trials, control)
                    self._events.note(VERB, f"extended to {spec.search.trials} trials{_by(undone, control)}")
            except NoExtension as no:
                with self._held.writer.together():
                    self._held.writer.finish_control(control)
                    self._events.note(VERB, str(no))
        return spec

    def settled(self, spec: SweepSpec) -> SweepSpec:
        """As it is asked to be settled; that is written with the request that is done by it."""
        for control, said in asked_to_settle(undone := self._undone()):
            try:
                spec = settled(spec, said)
                assert spec.settle is not None
                with self._held.writer.together():
                    self._held.writer.change_spec("settle", spec.settle.model_dump(mode="json"), control)
                    self._events.note(SETTLE, f"asked to {words_of(said)}{_by(undone, control)}")
            except NotSettled as no:
                with self._held.writer.together():
                    self._held.writer.finish_control(control)
                    self._events.note(SETTLE, str(no))
        return spec

    def _undone(self) -> list[ControlRecord]:
        return self._held.reader.controls(self._held.record.id)

    def _new(self) -> list[ControlRecord]:
        """In the order they were asked."""
        return [each for each in self._undone() if each.verb in VERBS and each.id not in self._said]

    def _say(self, request: ControlRecord) -> None:
        self._said.add(request.id)
        what = "the sweep" if request.trial is None else f"trial {self._trials.called(request.trial)}"
        self._events.record("control", f"asked to {request.verb} {what}{request.by}", request.trial)

    def _done(self, request: ControlRecord) -> None:
        self._held.writer.finish_control(request.id)

    def _retry(self, request: ControlRecord, driver: Controlled) -> None:
        chosen = list(self._trials.states) if request.trial is None else [request.trial]
        with self._held.writer.together():
            self._say(request)
            again = self._held.writer.retry(chosen, "asked to retry it")
            self._done(request)
        driver.run_again(again)

    def _of_sweep(self, request: ControlRecord, driver: Controlled) -> None:
        if request.verb == "stop":
            driver.stop(STOPPED)
        else:
            driver.hold(request.verb == "pause")
        self._done(request)

    def _of_trial(self, request: ControlRecord, trial: int, driver: Controlled) -> None:
        state = self._trials.states.get(trial)
        if state == "running":
            self.fulfilled(trial)  # a later request takes the place of an earlier one
            if request.verb != "resume":
                self._pending[trial] = request
                return
        elif state in ("queued", "paused") and request.verb == "stop":
            driver.drop(trial)
        elif state == "queued" and request.verb == "pause":
            driver.take_out(trial)
        elif state == "paused" and request.verb == "resume":
            driver.put_back(trial)
        self._done(request)


def _by(requests: Sequence[ControlRecord], id: int) -> str:
    """Who asks, at a sentence's end."""
    return next(each.by for each in requests if each.id == id)
