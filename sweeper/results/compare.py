"""Two configurations side by side: what differs, and by how much, seed by seed and document by document.

d = mean over the common seeds of (NELBO of A - NELBO of B), in nats per token. Its 95% interval adds two
half-widths in quadrature, each by Student's t (statistics/differences.py): of the documents, and of the
training seeds, by this pair's own variance over them, drawn towards that of all pairs of the sweep that were
evaluated in the same way. Where no spread over seeds is known the interval is of the documents alone, and
says so.

That is of a pair that was named before the board was seen. For one that was picked by looking there is a
wider one, for all pairs of the board at once (Tukey and Kramer)."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from sweeper.results.ranking import quantity
from sweeper.statistics.differences import PRIOR, Differences, Pooled, differences, pooled
from sweeper.statistics.field import Run, field_of
from sweeper.statistics.quantiles import CONFIDENCE, student, tukey
from sweeper.store.queries import Reader
from sweeper.store.records import EvaluationRecord, SweepRecord, TrialRecord
from sweeper.words import times


class NotComparable(ValueError):
    """Why two trials cannot be compared, as one sentence."""


class Side(NamedTuple):
    configuration: int
    trials: list[int]  # by common seed
    nelbo: float  # mean over the common seeds, nats per token


class Comparison(NamedTuple):
    a: Side
    b: Side
    parameters: dict[str, tuple[Any, Any]]  # those that differ; None: not there
    seeds: list[int]
    confirmed: bool  # by confirmation runs alone
    difference: float  # a - b, nats per token: below 0, a is better
    low: float  # 95%
    high: float
    over_seeds: bool  # the interval covers training seeds too
    picked_low: float  # 95%, of a pair that was picked by looking at the board
    picked_high: float
    groups: int  # configurations of the board, any two of which might have been picked

    @property
    def told_apart(self) -> bool:
        """Never without a spread over seeds of their own: two runs may differ where configurations do not."""
        return self._apart(self.low, self.high)

    @property
    def told_apart_if_picked(self) -> bool:
        return self._apart(self.picked_low, self.picked_high)

    def words(self, picked: bool) -> str:
        """What may be said of a to b. picked: the pair was picked by looking at the board."""
        if self.told_apart_if_picked if picked else self.told_apart:
            return "better" if self.difference < 0 else "worse"
        low, high = (self.picked_low, self.picked_high) if picked else (self.low, self.high)
        return "not told apart" if low <= 0 <= high else "one seed: runs differ"

    def _apart(self, low: float, high: float) -> bool:
        return self.over_seeds and len(self.seeds) > 1 and not low <= 0 <= high

    def to_json(self) -> dict[str, Any]:
        ratio = {"": self.difference, "_low": self.low, "_high": self.high}
        return {
            **self._asdict(),
            "a": self.a._asdict(),
            "b": self.b._asdict(),
            **{end: finite(getattr(self, end)) for end in ("low", "high", "picked_low", "picked_high")},
            "told_apart": self.told_apart,
            "told_apart_if_picked": self.told_apart_if_picked,
            **{f"val_ppl_ratio{end}": finite(times(value)) for end, value in ratio.items()},
        }


class Pair(NamedTuple):
    """Two configurations on their common seeds, before anything is concluded."""

    a: TrialRecord
    b: TrialRecord
    seeds: list[int]
    sides: tuple[list[EvaluationRecord], list[EvaluationRecord]]  # of a and of b, by common seed
    confirmed: bool
    groups: int
    found: Differences  # of a to b alone

    @property
    def difference(self) -> float:
        return float(self.found.mean_CK[0, 0])

    @property
    def over_seeds(self) -> bool:
        return bool(np.isfinite(self.found.seeds_CK[0, 0]))

    def half(self, confidence: float = CONFIDENCE) -> float:
        """Of the two-sided interval of a pair that was named before the board was seen."""
        return _half(self.found, lambda degrees: student(degrees, confidence), self.over_seeds)

    def half_if_picked(self, confidence: float = CONFIDENCE) -> float:
        return _half(self.found, lambda degrees: tukey(self.groups, degrees, confidence), self.over_seeds)


def compare(
    reader: Reader,
    sweep: SweepRecord,
    a: int,
    b: int,
    *,
    split: str = "valid",
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Of the configurations of two trials. Raises NotComparable."""
    return Comparisons(reader, sweep, split).of(a, b, confidence)


def pair_of(reader: Reader, sweep: SweepRecord, a: int, b: int, *, split: str = "valid") -> Pair:
    """Of the configurations of two trials. Raises NotComparable."""
    return Comparisons(reader, sweep, split).pair(a, b)


def paired(sides: Iterable[Sequence[EvaluationRecord]]) -> tuple[float, float]:
    """(difference of the first to the second, half of its 95% interval): looks by common seed, that nothing
    else of a board is known of. The half is infinite with one seed. Raises NotComparable."""
    first, second = sides
    _check_same([*first, *second])
    seeds = range(len(first))
    both = [Run(place, seed, side[seed].nats) for place, side in enumerate((first, second)) for seed in seeds]
    spread = pooled(field_of(both, first[0].tokens)[1].value_CS)
    found = _difference((first, second), seeds, Others(2, spread, 2))
    half = _half(found, lambda degrees: student(degrees, CONFIDENCE), True)
    return float(found.mean_CK[0, 0]), half if np.isfinite(found.seeds_CK[0, 0]) else math.inf


class Others(NamedTuple):
    """Of a board's runs that were evaluated alike: what they say of a pair."""

    groups: int  # configurations
    spread: Pooled  # over seeds
    repeated: int  # configurations with two seeds or more


class Comparisons:
    """Any number of pairs of a sweep, which is read once."""

    def __init__(self, reader: Reader, sweep: SweepRecord, split: str = "valid"):
        self._name = sweep.name
        self._trials = {trial.id: trial for trial in reader.trials(sweep.id)}
        self._evaluations = {each.trial: each for each in reader.evaluations(sweep.id, split)}
        self._values = reader.configurations(sweep.id)
        self._complete: dict[int, list[TrialRecord]] = defaultdict(list)  # by configuration
        for trial in self._trials.values():
            if trial.state == "complete" and trial.repeat_of is None and trial.id in self._evaluations:
                self._complete[trial.configuration].append(trial)
        self._others: dict[tuple[bool, tuple[Any, ...]], Others] = {}

    def of(self, a: int, b: int, confidence: float = CONFIDENCE) -> Comparison:
        """Of the configurations of two trials. Raises NotComparable."""
        pair = self.pair(a, b)
        half, of_picked = pair.half(confidence), pair.half_if_picked(confidence)
        return Comparison(
            a=_side(pair.a, pair.sides[0]),
            b=_side(pair.b, pair.sides[1]),
            parameters=differing(self._values[pair.a.configuration], self._values[pair.b.configuration]),
            seeds=pair.seeds,
            confirmed=pair.confirmed,
            difference=pair.difference,
            low=pair.difference - half,
            high=pair.difference + half,
            over_seeds=pair.over_seeds,
            picked_low=pair.difference - of_picked,
            picked_high=pair.difference + of_picked,
            groups=pair.groups,
        )

    def pair(self, a: int, b: int) -> Pair:
        """Raises NotComparable."""
        first, second = (_find(self._trials, self._name, each) for each in (a, b))
        if first.configuration == second.configuration:
            raise NotComparable(f"trials {a} and {b} have the same configuration")
        mine, others = (_runs(self._complete[each.configuration]) for each in (first, second))
        roles = [role for role in (True, False) if mine[role].keys() & others[role].keys()]
        if not roles:
            raise NotComparable(
                f"trials {a} and {b} have no seed in common ({_seeds(mine)}; {_seeds(others)}), so nothing "
                "can be paired; the leaderboard takes out what seeds differ by"
            )
        confirmed = roles[0]
        seeds = sorted(mine[confirmed].keys() & others[confirmed].keys())
        mine_S, others_S = (
            [self._evaluations[runs[confirmed][seed]] for seed in seeds] for runs in (mine, others)
        )
        _check_same(mine_S + others_S)
        alike = self._alike(confirmed, mine_S[0])
        found = _difference((mine_S, others_S), seeds, alike)
        return Pair(first, second, seeds, (mine_S, others_S), confirmed, max(2, alike.groups), found)

    def _alike(self, confirmed: bool, like: EvaluationRecord) -> Others:
        """The runs that tell of seeds: found once for all pairs of them."""
        key = (confirmed, quantity(like))
        if key not in self._others:
            runs = {
                (trial.configuration, trial.seed): self._evaluations[trial.id].nats
                for trials in self._complete.values()
                for trial in reversed(trials)
                if (trial.role == "confirm") == confirmed and quantity(self._evaluations[trial.id]) == key[1]
            }
            _, field = field_of([Run(*place, nats) for place, nats in runs.items()], like.tokens)
            repeated = int((field.seeds_C >= 2).sum())
            self._others[key] = Others(len({c for c, _ in runs}), pooled(field.value_CS), repeated)
        return self._others[key]


def differing(a: dict[str, Any], b: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """In alphabetical order; None where one has no such value."""
    return {key: (a.get(key), b.get(key)) for key in sorted({**a, **b}) if a.get(key) != b.get(key)}


def _find(trials: dict[int, TrialRecord], name: str, id: int) -> TrialRecord:
    if id not in trials:
        raise NotComparable(f"{name} has no trial {id}")
    trial = trials[id]
    mine = [each for each in trials.values() if each.configuration == trial.configuration]
    if not any(each.state == "complete" for each in mine):
        raise NotComparable(f"trial {trial.called} is {trial.state}: only what is complete is compared")
    return trial


def _runs(complete: Sequence[TrialRecord]) -> dict[bool, dict[int, int]]:
    """Trials by seed; confirmation runs (True) apart: the others took part in the choice."""
    runs: dict[bool, dict[int, int]] = {True: {}, False: {}}
    for trial in complete:
        runs[trial.role == "confirm"].setdefault(trial.seed, trial.id)
    return runs


def _seeds(runs: dict[bool, dict[int, int]]) -> str:
    return ", ".join(str(seed) for seed in sorted({**runs[True], **runs[False]})) or "none evaluated"


def _check_same(evaluations: Sequence[EvaluationRecord]) -> None:
    """Raises NotComparable with the first difference."""
    like = evaluations[0]
    for other in evaluations[1:]:
        if quantity(other) == quantity(like):
            continue
        differences = differing(like.identity, other.identity)
        said = ", ".join(
            f"{key} is {mine} in one and {its} in the other" for key, (mine, its) in differences.items()
        )
        raise NotComparable(
            f"trials {like.trial} and {other.trial} were not evaluated on the same text in the same way: "
            f"{said or 'their documents differ'}"
        )


def _side(trial: TrialRecord, evaluations: Sequence[EvaluationRecord]) -> Side:
    mean = math.fsum(each.nelbo for each in evaluations) / len(evaluations)
    return Side(trial.configuration, [each.trial for each in evaluations], mean)


def _difference(
    sides: Sequence[Sequence[EvaluationRecord]], seeds: Sequence[int], alike: Others
) -> Differences:
    """Of the first to the second."""
    pair = [
        Run(place, seed, each.nats)
        for place, side in enumerate(sides)
        for seed, each in zip(seeds, side, strict=True)
    ]
    prior = min(PRIOR, max(0, alike.repeated - 2) * (len(seeds) - 1.0))
    return differences(field_of(pair, sides[0][0].tokens)[1], [1], alike.spread, prior)


def _half(found: Differences, of_seeds: Callable[[float], float], over_seeds: bool) -> float:
    """Half of the interval; of the text alone where no spread over seeds is known."""
    text = of_seeds(found.text_degrees)
    if not over_seeds:
        return text * float(found.text_CK[0, 0])
    return float(found.half_width(of_seeds, text)[0, 0])


def finite(value: float) -> float | None:
    """JSON has no word for infinity."""
    return value if math.isfinite(value) else None
