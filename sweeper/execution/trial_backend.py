"""Which of Tune's trials is which job? What Tune asks and reports, the driver is asked and told."""

import functools
import logging
import os
import time
from collections.abc import Callable, Set
from typing import Any

import ray
from ray.tune.search import Searcher

from sweeper.driver.driver import EXHAUSTED, Driver
from sweeper.driver.failures import BrokenDevice, Lost, Silent, Unready
from sweeper.driver.jobs import Job, StageJob
from sweeper.driver.stop_reason import by_signal
from sweeper.execution.watchdog import HALTED, Watchdog
from sweeper.planning.machine import Slots
from sweeper.store.records import Usage
from sweeper.words import clock

log = logging.getLogger("ray.sweeper")
QUIET = 10.0  # seconds without any news before the cluster is asked whether it still is one
# Seconds that a worker may take to be made. It imports for 4 of a processor's, and Ray has workers step back
# behind all else that a machine does: where more than CROWDED want each core, one may get none for minutes,
# and that time does not count.
READY, CROWDED = 600.0, 1.5
PLACELESS, AGAIN = 60.0, 600.0  # seconds without a place until that is said, and until it is said again


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
        self._made: dict[tuple[str, int], float] = {}  # by that and its actor: since when that is being made
        self._ended: dict[str, Silent | Unready] = {}  # those whose worker was ended, and why
        self._last_news = self._listened = time.monotonic()
        self._placeless: dict[str, float] = {}  # by Tune's trial id: since when it waits for a place
        self._say_so_again = 0.0
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
        cpu, gpu = self._slots.cpu, self._slots.gpu
        return {
            "job": job,
            "trainer": self._trainer,
            "gpu": gpu,
            "fused": 1 if self._slots.not_fused else self._slots.fused,
            "threads": max(1, int(cpu * self._slots.together)),  # of the process that they share
        }

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
        self._forget(tune_id)

    @_contained(None)
    def died(self, tune_id: str) -> None:
        why = self._ended.get(tune_id, Lost())
        job = self._forget(tune_id)
        if job is None or self.stopping:
            return
        self._driver.fail(job, why)

    def _forget(self, tune_id: str) -> Job | None:
        """What is gone through at every turn is of those that live, not of thousands that have ended."""
        self._heard.pop(tune_id, None)
        self._ended.pop(tune_id, None)
        self._made = {which: at for which, at in self._made.items() if which[0] != tune_id}
        return self._jobs.pop(tune_id, None)

    def first_of(self, tune_ids: Set[str]) -> str | None:
        """The one whose job was given first."""
        return next((each for each in self._jobs if each in tune_ids), None)

    def is_silent(self, tune_id: str) -> bool:
        """Of a trial that has begun, at every turn: whether it is to be ended, for it seems to hang."""
        heard = self._heard.setdefault(tune_id, time.monotonic())
        if time.monotonic() - heard > self._time_limit and tune_id not in self._ended:
            self._ended[tune_id] = Silent()
            return True
        return False

    def is_unready(self, tune_id: str, actor: int) -> bool:
        """Of a trial that has a place, and an actor in it that has not answered yet, at every turn: whether
        that is to be ended, for it seems to hang. No fault of the trial's: it has not begun."""
        since = self._made.setdefault((tune_id, actor), time.monotonic())
        if time.monotonic() - since > READY and tune_id not in self._ended:
            self._ended[tune_id] = Unready(f"no sign of life for {clock(READY)}")
            return True
        return False

    @_contained(None)
    def wait_for_places(self, tune_ids: Set[str]) -> None:
        """At every turn: the trials that have no place for a worker yet. On a cluster others may use it, or
        its nodes are still to come: that is waited for, and now and then said."""
        now = time.monotonic()
        self._placeless = {each: self._placeless.get(each, now) for each in tune_ids}
        long = sum(now - since > PLACELESS for since in self._placeless.values())
        if long and now > self._say_so_again:
            self._say_so_again = now + AGAIN
            self._driver.events.note("waiting", placeless(long, self._slots))

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
        """None was silent while nobody listened: this process was halted, or waited for its store's lock. Nor
        is one that is being made, while the machine has no time for it."""
        now = time.monotonic()
        deaf = now - self._listened
        if self._made and deaf <= HALTED and os.getloadavg()[0] > CROWDED * (os.cpu_count() or 1):
            self._made = {which: at + deaf for which, at in self._made.items()}
        if deaf > HALTED:
            self._heard = {tune_id: at + deaf for tune_id, at in self._heard.items()}
            self._made = {which: at + deaf for which, at in self._made.items()}
            self._placeless = {tune_id: at + deaf for tune_id, at in self._placeless.items()}
        self._listened = now


def placeless(trials: int, slots: Slots) -> str:
    """'2 trials wait for a place of 1 CPU and 1 GPU; free: CPU 2 of 8, GPU 0 of 2'."""
    wanted = {"CPU": slots.cpu, **({"GPU": slots.gpu} if slots.gpu else {})}
    there, free = ray.cluster_resources(), ray.available_resources()
    of_each = " and ".join(f"{count:g} {name}" for name, count in wanted.items())
    left = ", ".join(f"{name} {free.get(name, 0):g} of {there.get(name, 0):g}" for name in wanted)
    who = "1 trial waits" if trials == 1 else f"{trials} trials wait"
    return f"{who} for a place of {of_each}; free: {left}"
