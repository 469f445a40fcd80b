"""Ray Tune's side of the sweep: thin adapters that hand everything to the Book."""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import ray
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from sweeper.driver.driver import EXHAUSTED, Book
from sweeper.driver.jobs import Job
from sweeper.driver.stop_reason import by_signal
from sweeper.execution.watchdog import Watchdog
from sweeper.planning.machine import Slots

log = logging.getLogger("ray.sweeper")
QUIET = 10.0  # seconds without any news before the cluster is asked whether it still is one


def _contained(otherwise: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """No exception may enter Tune: it would end the run in Tune's way. The first one ends it in ours."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def contained(self: "Desk", *arguments: Any) -> Any:
            if self.failure is not None:
                return otherwise
            try:
                return method(self, *arguments)
            except Exception as error:
                log.exception("the driver's own code failed in %s", method.__name__)
                self.failure = error
                return otherwise

        return contained

    return decorate


class Desk:
    """Between Tune and the Book: which of Tune's trials is which job."""

    def __init__(self, book: Book, slots: Slots, trainer: str, watchdog: Watchdog, time_limit: float):
        """time_limit: seconds in which a worker that has begun must give a sign of life."""
        self._book, self._slots, self._trainer, self._watchdog = book, slots, trainer, watchdog
        self._time_limit = time_limit
        self._jobs: dict[str, Job] = {}  # by Tune's trial id
        self._heard: dict[str, float] = {}  # by the same: when it last gave a sign of life
        self._silent: set[str] = set()  # those that were ended because it had given none
        self._last_news = time.monotonic()
        self.failure: Exception | None = None

    @property
    def stopping(self) -> bool:
        return self._book.ending is not None or self.failure is not None

    @_contained(Searcher.FINISHED)
    def suggest(self, tune_id: str) -> dict[str, Any] | str | None:
        """FINISHED is final for Tune: only when everything is, and nothing runs that might be lost yet."""
        self.turn()
        if self.stopping:
            return Searcher.FINISHED
        if len(self._jobs) >= self._slots.number:
            return None
        job = self._book.next()
        if job is EXHAUSTED:
            return Searcher.FINISHED
        if job is None:
            return None
        self._jobs[tune_id] = job
        self._last_news = time.monotonic()
        return {"job": job, "trainer": self._trainer, "gpu": self._slots.gpu}

    @_contained(False)
    def receive(self, tune_id: str, result: dict[str, Any]) -> bool:
        """Called for every result; Tune shows its last one only when the trial is complete. False: stop."""
        news, job = result.get("news"), self._jobs.get(tune_id)
        if news is None or job is None:
            return not self.stopping
        self._last_news = self._heard[tune_id] = time.monotonic()
        go_on = self._book.take(job, news.reports, news.cost, news.worker)
        if news.over:
            del self._jobs[tune_id]
            if news.error:
                self._book.fail(job, news.error, news.cost)
            else:
                self._book.finish(job, news.cost)
        return go_on and not self.stopping

    @_contained(None)
    def complete(self, tune_id: str, result: dict[str, Any] | None) -> None:
        """Tune has closed it: it came to its end, or it was stopped."""
        if result and "news" in result and result["news"].over:
            self.receive(tune_id, result)
        self._jobs.pop(tune_id, None)

    @_contained(None)
    def died(self, tune_id: str) -> None:
        job = self._jobs.pop(tune_id, None)
        if job is None or self.stopping:
            return
        if tune_id in self._silent:
            self._book.silent(job)
        else:
            self._book.lost(job)

    def is_silent(self, tune_id: str) -> bool:
        """Of a trial that has begun, at every turn: whether it is to be ended, for it seems to hang."""
        heard = self._heard.setdefault(tune_id, time.monotonic())
        if time.monotonic() - heard > self._time_limit and tune_id not in self._silent:
            self._silent.add(tune_id)
            return True
        return False

    @_contained(None)
    def turn(self) -> None:
        """At every turn of Tune's loop, and while Tune waits for a suggestion."""
        self._watchdog.beat()
        if self._watchdog.signal is not None:
            self._book.stop(by_signal(self._watchdog.signal))
        self._book.poll()
        if self._jobs and time.monotonic() - self._last_news > QUIET:
            self._last_news = time.monotonic()
            if not ray.cluster_resources().get("CPU"):
                self._watchdog.give_up("the Ray cluster has died")


class FromBook(Searcher):
    def __init__(self, desk: Desk):
        super().__init__()
        self._desk = desk

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles it into a snapshot that nobody reads

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        return self._desk.suggest(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Nothing: the scheduler has had it."""

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if error:
            self._desk.died(trial_id)
        else:
            self._desk.complete(trial_id, result)

    def save(self, checkpoint_path: str) -> None: ...

    def restore(self, checkpoint_path: str) -> None: ...


class ToBook(FIFOScheduler):
    """Every result goes to the Book, which says whether the trial goes on."""

    def __init__(self, desk: Desk):
        super().__init__()
        self._desk = desk

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        return TrialScheduler.CONTINUE if self._desk.receive(trial.trial_id, result) else TrialScheduler.STOP

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Called at every turn of Tune's loop."""
        self._desk.turn()
        for trial in list(tune_controller.get_live_trials()):
            if trial.is_finished():  # Tune failed to set it up, and has told nobody
                self._desk.died(trial.trial_id)
            elif trial.status == Trial.RUNNING and self._desk.is_silent(trial.trial_id):
                ray.kill(trial.temporary_state.ray_actor)  # Tune sees it die
            elif trial.status == Trial.PENDING and self._desk.stopping:
                tune_controller.stop_trial(trial)  # it has not begun: there is nothing to wait for
        return super().choose_trial_to_run(tune_controller)
