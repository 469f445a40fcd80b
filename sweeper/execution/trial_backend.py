"""Which of Tune's trials is which job? What Tune asks and reports, the driver is asked and told."""

import functools
import logging
import time
from collections.abc import Callable
from typing import Any

import ray
from ray.tune.search import Searcher

from sweeper.driver.driver import EXHAUSTED, Driver
from sweeper.driver.failures import BrokenDevice, Lost, Silent
from sweeper.driver.jobs import Job, StageJob
from sweeper.driver.stop_reason import by_signal
from sweeper.execution.watchdog import HALTED, Watchdog
from sweeper.planning.machine import Slots
from sweeper.store.records import Usage

log = logging.getLogger("ray.sweeper")
QUIET = 10.0  # seconds without any news before the cluster is asked whether it still is one


def _contained(otherwise: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """No exception may enter Tune: it would end the run in Tune's way. The first one ends it in ours."""

    def decorate(method: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(method)
        def contained(self: "TrialBackend", *arguments: Any) -> Any:
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


class TrialBackend:
    def __init__(
        self,
        driver: Driver,
        slots: Slots,
        trainer: str,
        watchdog: Watchdog,
        time_limit: float,
        keep_usage: Callable[[str, int | None, Usage], object],
    ):
        """time_limit: seconds in which a worker that has begun must give a sign of life. keep_usage: of a
        worker and the trial that it runs."""
        self._keep_usage = keep_usage
        self._driver, self._slots, self._trainer, self._watchdog = driver, slots, trainer, watchdog
        self._time_limit = time_limit
        self._jobs: dict[str, Job] = {}  # by Tune's trial id
        self._heard: dict[str, float] = {}  # by the same: when it last gave a sign of life
        self._silent: set[str] = set()  # those that were ended because it had given none
        self._last_news = self._listened = time.monotonic()
        self.failure: Exception | None = None

    @property
    def stopping(self) -> bool:
        return self._driver.stop_reason is not None or self.failure is not None

    @_contained(Searcher.FINISHED)
    def suggest(self, tune_id: str) -> dict[str, Any] | str | None:
        """FINISHED is final for Tune: only when everything is, and nothing runs that might be lost yet."""
        self.turn()
        if self.stopping:
            return Searcher.FINISHED
        if len(self._jobs) >= self._slots.number:
            return None
        job = self._driver.next()
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
        if news.usage is not None:
            trial = None if isinstance(job, StageJob) else job.trial
            self._keep_usage(news.worker, trial, news.usage)
        go_on = self._driver.take(job, news.reports, news.cost, news.worker)
        if news.over:
            del self._jobs[tune_id]
            if news.failure:
                self._driver.fail(job, news.failure, news.cost)
            else:
                self._driver.finish(job, news.cost)
        if isinstance(news.failure, BrokenDevice):
            return True  # nothing goes on there: the worker ends at its next step
        return go_on and not self.stopping

    @_contained(None)
    def complete(self, tune_id: str, result: dict[str, Any] | None) -> None:
        """Tune has closed it: it came to its end, or it was stopped."""
        if result and "news" in result and result["news"].over:
            self.receive(tune_id, result)
        self._jobs.pop(tune_id, None)
        self._heard.pop(tune_id, None)

    @_contained(None)
    def died(self, tune_id: str) -> None:
        job = self._jobs.pop(tune_id, None)
        self._heard.pop(tune_id, None)
        if job is None or self.stopping:
            return
        if tune_id in self._silent:
            self._driver.fail(job, Silent())
        else:
            self._driver.fail(job, Lost())

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
            self._driver.stop(by_signal(self._watchdog.signal))
        self._driver.poll()
        self._forgive()
        if self._jobs and time.monotonic() - self._last_news > QUIET:
            self._last_news = time.monotonic()
            if not ray.cluster_resources().get("CPU"):
                self._watchdog.give_up("the Ray cluster has died")

    def _forgive(self) -> None:
        """None was silent while nobody listened: this process was halted, or waited for its store's lock."""
        now = time.monotonic()
        if (deaf := now - self._listened) > HALTED:
            self._heard = {tune_id: at + deaf for tune_id, at in self._heard.items()}
        self._listened = now
