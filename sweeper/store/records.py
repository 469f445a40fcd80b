"""What crosses the store's border: frozen records, never ORM rows."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# Of a trial.
UNFINISHED = ("queued", "running", "paused")
ENDS = ("complete", "pruned", "failed", "lost", "stopped")
MAY_BE_RETRIED = ("failed", "lost")

SWEEP_ENDS = ("complete", "failed")  # states of a sweep that has nothing left to run

RETRIED = "retry"  # kind of the event that a trial which had ended so is to be run again


def host_and_pid(holder: str) -> str:
    """Of a lease's holder: what a reader makes something of."""
    return holder.partition("#")[0]


class SweepRecord(NamedTuple):
    id: int
    name: str
    spec_text: str
    spec: dict[str, Any]
    code_version: str
    folder: str
    state: str
    note: str
    created: float
    ended: float | None
    lease_holder: str | None
    lease_until: float | None
    display_name: str = ""  # that people gave it later; '' where nobody did

    @property
    def called(self) -> str:
        """What people call it. Commands take the name that it was made under, too: that of its spec."""
        return self.display_name or self.name

    def driver(self, now: float) -> str | None:
        """host:pid of who runs it now; None: nobody does."""
        return host_and_pid(self.lease_holder or "") if now < (self.lease_until or 0.0) else None


class TrialRecord(NamedTuple):
    id: int
    sweep: int
    configuration: int
    role: str
    number: int | None
    trial_number: int | None
    seed: int
    repeat_of: int | None
    state: str
    attempt: int
    stage: str | None
    steps: int
    params: dict[str, Any]
    distributions: dict[str, str]
    system_attrs: dict[str, Any]
    error: str
    reason: str
    worker: str
    created: float
    started: float | None
    ended: float | None
    cpu_seconds: float
    gpu_seconds: float
    tokens: int

    @property
    def called(self) -> int:
        """What people call it: its number in the sweep, or in sweeps that are older than these numbers its
        id."""
        return self.id if self.trial_number is None else self.trial_number


class NewTrial(NamedTuple):
    """What is said of a trial when it is added; the names are TrialRecord's."""

    configuration: int
    role: str
    seed: int
    steps: int
    params: Mapping[str, Any]
    distributions: Mapping[str, str]
    system_attrs: Mapping[str, Any]
    number: int | None = None
    repeat_of: int | None = None
    stage: str | None = None
    state: str = "queued"


class StageRecord(NamedTuple):
    key: str
    state: str
    attempt: int
    steps: int
    values: dict[str, Any]
    folder: str
    error: str
    started: float | None
    ended: float | None
    cpu_seconds: float
    gpu_seconds: float
    parent: str | None = None  # key of the stage from whose end it goes on


class StageUse(NamedTuple):
    """Trials of one sweep that branch from a stage, or from one that goes on from it; repeats are not
    counted."""

    stage: str
    sweep: int
    trials: int
    unfinished: int  # of them


class ForeignTrial(NamedTuple):
    """A trial of another sweep that the search learns from, as it was when this sweep began."""

    source: str  # that sweep's name
    trial: int
    params: dict[str, Any]
    values: list[float]  # of this sweep's metrics


class DriverRecord(NamedTuple):
    id: int
    sweep: int
    holder: str
    began: float
    seconds: float
    gpu_seconds: float
    tokens: int


class LatestRecord(NamedTuple):
    trial: int
    name: str
    step: int
    value: float
    best: float
    best_step: int


class EvaluationRecord(NamedTuple):
    trial: int
    split: str
    step: int
    nelbo: float
    se: float
    identity: dict[str, Any]
    provenance: dict[str, Any]
    nats: list[float]
    tokens: list[int]
    exact: list[float] | None = None  # of a source whose likelihood is known: its own nats


class ScoreRecord(NamedTuple):
    """A checkpoint scored again: round 0 with more masks or text, from 1 on under the masks of that round."""

    trial: int
    round: int
    split: str
    step: int
    nelbo: float
    se: float
    identity: dict[str, Any]
    provenance: dict[str, Any]
    nats: list[float]
    tokens: list[int]
    cpu_seconds: float


class EventRecord(NamedTuple):
    id: int
    time: float
    sweep: int
    trial: int | None
    kind: str
    text: str


class ControlRecord(NamedTuple):
    id: int
    time: float
    sweep: int
    trial: int | None
    verb: str
    done: float | None
    who: str = ""  # user@host; '' where nobody said

    @property
    def by(self) -> str:
        """', by user@host', to stand at a sentence's end."""
        return f", by {self.who}" if self.who else ""


class NoteRecord(NamedTuple):
    """What somebody said of a sweep or a trial (sweeper/store/notes.py)."""

    id: int
    sweep: int
    trial: int | None  # None: of the sweep
    time: float
    who: str
    kind: str  # tag, untag, note, name
    text: str


class AskRecord(NamedTuple):
    """Whether a is better than b, as it was asked and answered."""

    sweep: int
    session: str
    number: int  # from 1
    a: int  # configurations
    b: int
    runs: str  # hash of what was held against each other
    margin: float
    time: float
    level: float  # of each end of the interval
    verdict: str
    seeds: list[int]
    difference: float
    low: float
    high: float


USAGE_EVERY = 60.0  # seconds between two samples of a worker


class Usage(NamedTuple):
    """How busy a worker is."""

    cpu: float  # cores, the mean since its last sample
    memory: int  # bytes resident
    gpu: float | None  # share of the card in use
    gpu_memory: int | None  # bytes of the card that it holds


class UsageRecord(NamedTuple):
    """A sample. trial: that it ran; None: a pretrain."""

    sweep: int
    worker: str  # host:pid
    time: float
    trial: int | None
    cpu: float
    memory: int
    gpu: float | None
    gpu_memory: int | None


class MetricRow(NamedTuple):
    name: str
    step: int
    value: float
