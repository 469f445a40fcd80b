"""What a sweep may spend, what it has spent, and what is promised to those that run. Neither store nor Ray.

A job is let in only if its price is left: what is spent, what is promised to the live ones and has not been
spent by them yet, and the price stay within the cap. A price is a prediction, so the cap is watched as well:
once it is reached, everything that runs saves and stops.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from pydantic import Field, model_validator

from trainer.values import Settings


class Budget(Settings):
    """The most that a sweep may spend, over all its drivers. It may be raised, or lifted."""

    hours: float | None = Field(None, gt=0, description="Of running time; while it is paused none passes.")
    gpu_hours: float | None = Field(None, gt=0, description="Of all its workers, by their shares of GPUs.")
    trials: int | None = Field(None, ge=1, description="Runs begun: baselines, replicates and all.")
    tokens: int | None = Field(None, ge=1, description="Trained on, pretrains included.")

    @model_validator(mode="after")
    def _says_something(self) -> "Budget":
        if all(value is None for value in self.model_dump().values()):
            raise ValueError(f"says nothing: {', '.join(Budget.model_fields)}")
        return self


class Amount(NamedTuple):
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    trials: int = 0
    tokens: int = 0

    def plus(self, other: "Amount") -> "Amount":
        return Amount(
            self.seconds + other.seconds,
            self.gpu_seconds + other.gpu_seconds,
            self.trials + other.trials,
            self.tokens + other.tokens,
        )

    def less(self, other: "Amount") -> "Amount":
        """Nothing is below 0."""
        return Amount(
            max(0.0, self.seconds - other.seconds),
            max(0.0, self.gpu_seconds - other.gpu_seconds),
            max(0, self.trials - other.trials),
            max(0, self.tokens - other.tokens),
        )


NONE = Amount()
# Of a cap: its name, and how much of an Amount's unit is one of it.
UNITS = {"hours": 3600.0, "gpu_hours": 3600.0, "trials": 1, "tokens": 1}


TIMES = ("hours", "gpu_hours")  # what a job will take of them is a guess, or not known at all


class Purse:
    """let_in before a job starts, then pay what it has cost so far, and close when it has ended.

    A job's key is anything that tells it from the other live ones.
    """

    def __init__(
        self, budget: Budget | None, earlier: Amount = NONE, clock: Callable[[], float] = time.monotonic
    ):
        """earlier: what drivers before this one have spent."""
        self._budget, self._earlier, self._clock = budget, earlier, clock
        self._since: float | None = clock()  # None while the sweep is paused
        self._ended = NONE  # of jobs that are not live any more
        self._promised: dict[object, Amount] = {}
        self._paid: dict[object, Amount] = {}

    @property
    def capped(self) -> bool:
        return self._budget is not None

    @property
    def own(self) -> Amount:
        """What this driver has spent."""
        running = 0.0 if self._since is None else self._clock() - self._since
        total = self._ended._replace(seconds=self._ended.seconds + running)
        for paid in self._paid.values():
            total = total.plus(paid)
        return total

    @property
    def spent(self) -> Amount:
        return self._earlier.plus(self.own)

    def pause(self, paused: bool) -> None:
        """No running time passes meanwhile."""
        if self._since is not None:
            self._ended = self._ended.plus(Amount(seconds=self._clock() - self._since))
        self._since = None if paused else self._clock()

    def lacks(self, price: Amount) -> str:
        """'' where the price is left; else what is not, in words."""
        spent = self.spent
        due = NONE
        for key, promised in self._promised.items():
            due = due.plus(promised.less(self._paid[key]))
        # Running time passes for all at once: what the live ones will take does not add up.
        wanted = price.plus(due)._replace(seconds=price.seconds)
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

    def let_in(self, key: object, price: Amount) -> None:
        self._promised[key] = price._replace(trials=0)
        self._paid[key] = NONE

    def begin_one(self) -> None:
        """A trial that no driver has begun before."""
        self._ended = self._ended.plus(Amount(trials=1))

    def pay(self, key: object, so_far: Amount) -> None:
        """so_far: of GPUs and tokens, since it was let in."""
        self._paid[key] = so_far

    def close(self, key: object) -> None:
        if self._promised.pop(key, None) is not None:
            self._ended = self._ended.plus(self._paid.pop(key))

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
