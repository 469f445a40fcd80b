"""May a job begin, and is a cap reached? What is spent, and what is reserved for those that run.

A job is let in only if there is enough left: what is spent, what is reserved for the live ones and not
spent by them yet, and its own estimate stay within the cap. An estimate is a prediction, so the cap is
watched as well: once it is reached, everything that runs saves and stops. Neither store nor Ray.
"""

import time
from collections.abc import Callable

from sweeper.spec.budget import NONE, UNITS, Amount
from sweeper.spec.sections import Budget

TIMES = ("hours", "gpu_hours")  # what a job will take of them is a guess, or not known at all


class BudgetGuard:
    """reserve before a job starts, then charge what it has cost so far, and release when it has ended.

    A job's key is anything that tells it from the other live ones.
    """

    def __init__(
        self, budget: Budget | None, earlier: Amount = NONE, clock: Callable[[], float] = time.monotonic
    ):
        """earlier: what drivers before this one have spent."""
        self._budget, self._earlier, self._clock = budget, earlier, clock
        self._since: float | None = clock()  # None while the sweep is paused
        self._ended = NONE  # of jobs that are not live any more
        self._reserved: dict[object, Amount] = {}
        self._charged: dict[object, Amount] = {}

    @property
    def capped(self) -> bool:
        return self._budget is not None

    @property
    def own(self) -> Amount:
        """What this driver has spent."""
        running = 0.0 if self._since is None else self._clock() - self._since
        total = self._ended._replace(seconds=self._ended.seconds + running)
        for charged in self._charged.values():
            total = total.plus(charged)
        return total

    @property
    def spent(self) -> Amount:
        return self._earlier.plus(self.own)

    def pause(self, paused: bool) -> None:
        """No running time passes meanwhile."""
        if self._since is not None:
            self._ended = self._ended.plus(Amount(seconds=self._clock() - self._since))
        self._since = None if paused else self._clock()

    def lacks(self, estimate: Amount) -> str:
        """'' where there is enough left for it; else what is not, in words."""
        spent = self.spent
        due = NONE
        for key, reserved in self._reserved.items():
            due = due.plus(reserved.less(self._charged[key]))
        # Running time passes for all at once: what the live ones will take does not add up.
        wanted = estimate.plus(due)._replace(seconds=estimate.seconds)
        for name, cap, used, more in self._caps(spent, wanted):
            if used >= cap and name in TIMES:
                return f"budget.{name} = {cap:g} is spent"
            if used + more > cap * (1 + 1e-9):
                if name == "trials":
                    return f"budget.trials = {cap:g} are begun"
                if used >= cap:
                    return f"budget.{name} = {cap:g} is spent"
                return f"budget.{name} = {cap:g} leaves {cap - used:.3g}, too little for what is next"
        return ""

    def overdrawn(self) -> str:
        """'' while nothing that runs must be stopped; else which cap is reached, in words."""
        for name, cap, used, _ in self._caps(self.spent, NONE):
            if (used >= cap and name in TIMES) or (used > cap and name != "trials"):
                return f"budget.{name} = {cap:g} is spent"
        return ""

    def reserve(self, key: object, estimate: Amount) -> None:
        self._reserved[key] = estimate._replace(trials=0)
        self._charged[key] = NONE

    def begin_trial(self) -> None:
        """A trial that no driver has begun before."""
        self._ended = self._ended.plus(Amount(trials=1))

    def charge(self, key: object, so_far: Amount) -> None:
        """so_far: of GPUs and tokens, since it was reserved for."""
        self._charged[key] = so_far

    def release(self, key: object) -> None:
        if self._reserved.pop(key, None) is not None:
            self._ended = self._ended.plus(self._charged.pop(key))

    def _caps(self, spent: Amount, wanted: Amount) -> list[tuple[str, float, float, float]]:
        """(name, cap, spent, wanted) of each that there is, in its own unit."""
        if self._budget is None:
            return []
        caps = self._budget.model_dump()
        return [
            (name, caps[name], used / unit, more / unit)
            for (name, unit), used, more in zip(UNITS.items(), spent, wanted, strict=True)
            if caps[name] is not None
        ]
