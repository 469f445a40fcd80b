"""What does a board say of one configuration? Plain values; None is what is not known."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

Kind = TypeVar("Kind")


class Later(Mapping[str, Kind]):
    """A mapping that is made when somebody looks into it: into most of thousands nobody does."""

    __slots__ = ("_make", "_of")

    def __init__(self, make: Callable[..., Mapping[str, Kind]], *of: Any):
        self._make, self._of = make, of

    @property
    def _made(self) -> Mapping[str, Kind]:
        return self._make(*self._of)

    def __getitem__(self, name: str) -> Kind:
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def __repr__(self) -> str:
        return repr(self._made)


class Estimate(NamedTuple):
    """Of another metric than the one that ranks: a configuration's value, the seeds' effects taken out."""

    value: float
    low: float | None  # 95%; None: nothing is known of its error
    high: float | None
    difference: float | None  # log of it over the first's: nats per token, of a perplexity
    margin: float | None  # that this must exceed to count (all pairs)
    over: str  # what low and high are over: 'text and seeds', 'text', 'seeds', 'nothing'


class Limit(NamedTuple):
    """What keeps a row tied with the first: shares of the variance of its difference. None: not known."""

    text: float | None  # with the masks, where these are not told apart from it
    masks: float | None
    seeds: float | None
    remedy: str  # in words, with its price where that is known: of all rows that it would help


class Row(NamedTuple):
    """One configuration. val_* of a ranked row are its standing's (sweeper/statistics/standings.py)."""

    rank: int | None  # 1 for all that may be the best (of those confirmed, once there are some); or None
    configuration: int
    values: Mapping[str, Any]  # complete, dotted
    trials: list[int]  # ids; repeats left out
    seeds: int  # runs that the numbers are made of
    state: str
    step: int
    val_ppl: float | None
    val_ppl_low: float | None  # 95%; None where there is no rank
    val_ppl_high: float | None
    tied_with_best: bool  # it may be the best
    val_nelbo: float | None
    val_ppl_as_run: float | None  # of its runs as they are: not adjusted for which seeds they had
    roles: list[str]
    why: str  # 'best', 'one seed', 'within the error', 'screened out'; '' of one that is worse
    difference: float | None  # to the first, nats per token
    margin: float | None  # what the difference must exceed to count; None: unknown
    note: str  # why it has no rank, or what else to know
    metrics: Mapping[str, float]  # every other one, the mean over its runs
    trial_numbers: Sequence[int] = ()  # the same trials, as people call them
    # Of its runs after the search, on seeds that had no part in picking it; all above is the search's.
    confirmed_seeds: int = 0
    confirmed_nelbo: float | None = None
    confirmed_ppl: float | None = None
    confirmed_low: float | None = None  # 95%, of the perplexity
    confirmed_high: float | None = None
    confirmed_tied: bool = False  # with the best confirmed one; true of that itself
    confirmed_why: str = ""
    confirmed_difference: float | None = None
    confirmed_margin: float | None = None
    confirmed_test_ppl: float | None = None  # by the same fit as confirmed_nelbo
    # Valid less test of the fresh runs, less the same of the search's: by how much picking flattered it. Nats
    # per token; None where either was not scored on test.
    optimism: float | None = None
    # Of the confirmed numbers where there are some, else of the search's (sweeper/statistics/standings.py).
    over_seeds: bool = False  # whether the interval covers training seeds, or the text alone
    rank_low: int | None = None  # the ranks that it may have, by all pairs; None: not known
    rank_high: int | None = None
    regret: float | None = None  # what taking it may cost at most (95%), nats per token; None: not known
    p_best: float | None = None  # a chance, no guarantee
    p_within: float | None = None  # of being within 1% of the best
    # Of other metrics, seeds' effects taken out as of val_ppl: of the fresh runs where there are some.
    estimates: Mapping[str, Estimate] = MappingProxyType({})
    limits: Limit | None = None  # of a row that is tied with the first, among those that decide
    pareto: bool | None = None  # whether it is on the front of the sweep's metrics; None: there is but one

    def to_json(self) -> dict[str, Any]:
        flat = {key: value for key, value in self._asdict().items() if key != "metrics"}
        flat["limits"] = self.limits and self.limits._asdict()
        flat["estimates"] = {name: each._asdict() for name, each in self.estimates.items()}
        return {**flat, **{name: value for name, value in self.metrics.items() if name not in flat}}


def known(value: float) -> float | None:
    """JSON has no word for infinity, nor for what is no number."""
    return value if math.isfinite(value) else None


def perplexity(nelbo: float) -> float | None:
    """None where no float is as large."""
    return math.exp(nelbo) if nelbo < 700 else None


class Differing:
    """Names whose values differ between the configurations that were added, a missing one being a value too:
    what a sweep searches."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._alike: dict[str, Any] | None = None  # the values that all have; None: of nobody yet

    def add(self, values: Mapping[str, Any]) -> None:
        if self._alike is None:
            self._alike = dict(values)
        if self._alike.items() <= values.items() and values.keys() <= self._alike.keys() | self.names:
            return
        absent = object()
        new = [name for name, value in self._alike.items() if values.get(name, absent) != value]
        new += values.keys() - self._alike.keys() - self.names
        self.names.update(new)
        for name in new:
            self._alike.pop(name, None)
