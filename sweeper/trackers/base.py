"""What is a tracker told, and what must it be able to do? One run a trial; nothing twice, after any kill.

A new tracker is one file with one class, and its name in union.py.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from sweeper.store.records import ENDS, MetricRow, SweepRecord, TrialRecord

Say = Callable[[str], None]
SECONDS = "seconds"  # the metric that says how long a run had been training


class TrackerError(RuntimeError):
    """A place that nothing can be mirrored to, as a sentence."""


class Run(NamedTuple):
    """A trial, as trackers are told of it."""

    number: int  # as people call it
    state: str
    started: float  # seconds since 1970
    ended: float | None
    values: Mapping[str, Any]  # every dotted name, the seed too
    facts: Mapping[str, str]  # state, attempt, role, tags, reason: what may change, in words

    @classmethod
    def of(cls, trial: TrialRecord, values: Mapping[str, Any], tags: Sequence[str]) -> Self:
        said = {
            "state": trial.state,
            "attempt": str(trial.attempt),
            "role": trial.role,
            "tags": ", ".join(tags),
            "reason": trial.reason or trial.error.partition("\n")[0],
        }
        facts = {name: text for name, text in said.items() if text}
        began, whole = trial.started or trial.created, {**values, "seed": trial.seed}
        return cls(trial.called, trial.state, began, trial.ended, whole, facts)

    @property
    def name(self) -> str:
        return f"trial-{self.number}"

    @property
    def has_ended(self) -> bool:
        return self.state in ENDS


class Tracker(ABC):
    """Where a sweep is mirrored to. Every method raises TrackerError."""

    word: ClassVar[str]  # that stands before the colon
    place: ClassVar[str]  # what stands behind it
    only_whole: bool = False  # a run is sent once, when it has ended

    @classmethod
    @abstractmethod
    def open(cls, place: str, sweep: SweepRecord, say: Say) -> Self:
        """place: what was said behind the colon."""

    @abstractmethod
    def mirrored(self, run: Run) -> dict[str, int] | None:
        """The last step of each metric that is there already; None: all of the run is, and it has ended."""

    @abstractmethod
    def send(self, run: Run, rows: Sequence[MetricRow]) -> None:
        """rows: that are not there, in order of step; with the run's facts as they are now. They are on disk,
        or at the server, when this returns."""

    @abstractmethod
    def conclude(self, answer: str) -> None:
        """What the sweep says, now that nothing more is sent; in the place of what it said before."""

    def close(self) -> None:  # noqa: B027
        """What is open is left so that a next process goes on with it."""


def by_step(rows: Iterable[MetricRow]) -> dict[int, dict[str, float]]:
    """In order of step."""
    found: dict[int, dict[str, float]] = {}
    for row in sorted(rows, key=lambda row: row.step):
        found.setdefault(row.step, {})[row.name] = row.value
    return found


def moments(run: Run, steps: Mapping[int, Mapping[str, float]]) -> dict[int, float]:
    """When each step was reached, seconds since 1970, as far as the run said how long it took: the same
    whenever it is asked. steps: as by_step gives them."""
    found, last = {}, 0.0
    for step, values in steps.items():
        last = values.get(SECONDS, last)
        found[step] = run.started + last
    return found


def text_of(value: Any) -> str:
    """As in YAML."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
