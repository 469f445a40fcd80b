"""What the runs of `always` measured, over seeds: the numbers of ours in a report."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sweeper.results.compare import NotComparable, compare, finite, paired
from sweeper.results.ranking import quantity
from sweeper.spec.spec import SweepSpec
from sweeper.statistics.field import Run
from sweeper.statistics.quantiles import CONFIDENCE
from sweeper.statistics.scipy_private import special
from sweeper.statistics.sooner import log_share
from sweeper.statistics.standings import standings
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord
from trainer.config.train_config import content_hash
from trainer.evaluation.record import LAST

PERPLEXITIES = {"test_ppl": "test", "val_ppl": "valid"}
SPLITS = {**PERPLEXITIES, "test_nelbo": "test", "val_nelbo": "valid", "test_nelbo/last": LAST}
STEPS = (
    "steps"  # of two: those until the first has come to the second's last val_nelbo, over all of the second's
)
HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be told"
SEEN = 1 + float(special.ndtri(0.8) / special.ndtri((1 + CONFIDENCE) / 2))  # over an interval's half
Trials = Sequence[Sequence[TrialRecord]]  # by entry of `always`, one a seed


class Measured(NamedTuple):
    """The logarithm of a number of ours, over seeds."""

    log: float
    half: float  # of its 95% interval; infinite with one seed
    seeds: int


class Difference(NamedTuple):
    less: str
    more: str
    log_ratio: float  # of the first over the second
    half: float

    @property
    def sees(self) -> float:
        """The least true difference that would have been told in 80 of 100 repetitions; as log_ratio.

        Infinite where every run has the same on both sides, one checkpoint being the other: that tells
        nothing of runs where they are two."""
        return self.half * SEEN if self.half or self.log_ratio else math.inf

    @property
    def word(self) -> str:
        if self.log_ratio + self.half < 0:
            return HOLDS
        return FAILS if self.log_ratio - self.half > 0 else UNKNOWN

    def to_json(self) -> dict[str, Any]:
        ends = {"half": finite(self.half), "sees": finite(self.sees)}
        return {**self._asdict(), **ends, "word": self.word}


def complete(reader: Reader, sweep: SweepRecord, spec: SweepSpec) -> list[list[TrialRecord]]:
    """By entry of `always`, in its order: its complete trials, one a seed."""
    ids = reader.configuration_hashes(sweep.id)
    found: dict[int, dict[int, TrialRecord]] = defaultdict(dict)
    for trial in reader.trials(sweep.id):
        if trial.state == "complete" and trial.repeat_of is None:
            found[trial.configuration].setdefault(trial.seed, trial)
    places = (ids.get(content_hash(spec.train_config(entry, 0).content()), -1) for entry in spec.always)
    return [[trial for _, trial in sorted(found.get(place, {}).items())] for place in places]


def measure(reader: Reader, sweep: SweepRecord, metric: str, trials: Trials) -> list[Measured | None]:
    if metric in PERPLEXITIES:
        return _perplexities(reader, sweep, PERPLEXITIES[metric], trials)
    name = "objective" if metric == "objective_ppl" else metric
    last = {row.trial: row.value for row in reader.latest(sweep.id) if row.name == name}
    found: list[Measured | None] = []
    for mine in trials:
        values = [last[trial.id] for trial in mine if trial.id in last]
        logs = values if metric == "objective_ppl" else [math.log(v) for v in values if v > 0]
        found.append(_mean(logs) if logs else None)
    return found


def _mean(logs: Sequence[float]) -> Measured:
    n = len(logs)
    half = math.inf
    if n > 1:
        half = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2) * np.std(logs, ddof=1) / math.sqrt(n))
    return Measured(math.fsum(logs) / n, half, n)


def _perplexities(reader: Reader, sweep: SweepRecord, split: str, trials: Trials) -> list[Measured | None]:
    """Over documents and seeds, as on the board; what was evaluated alike is fitted together."""
    evaluations = {each.trial: each for each in reader.evaluations(sweep.id, split)}
    groups = defaultdict(list)
    for place, mine in enumerate(trials):
        for trial in mine:
            if trial.id in evaluations:
                each = evaluations[trial.id]
                groups[quantity(each)].append((Run(place, trial.seed, each.nats), each.tokens))
    found: dict[int, Measured] = {}
    for members in groups.values():
        for standing in standings([run for run, _ in members], members[0][1]).rows:
            half = math.inf if standing.seeds < 2 else (standing.high - standing.low) / 2
            found[standing.configuration] = Measured(standing.nelbo, half, standing.seeds)
    return [found.get(place) for place in range(len(trials))]


def weights(reader: Reader, sweep: SweepRecord, trials: Trials) -> list[Measured | None]:
    """What the objective is of the bound, over seeds: both on valid, both of the last step's average.

    Not logarithms, unlike all else here.
    """
    rows = {(row.trial, row.name): row for row in reader.latest(sweep.id)}
    found: list[Measured | None] = []
    for mine in trials:
        pairs = [(rows.get((trial.id, "objective")), rows.get((trial.id, "val_nelbo"))) for trial in mine]
        ratios = [a.value / b.value for a, b in pairs if a and b and a.step == b.step]
        found.append(_mean(ratios) if ratios else None)
    return found


def of_two_metrics(
    reader: Reader,
    sweep: SweepRecord,
    metrics: tuple[str, str],
    a: Sequence[TrialRecord],
    b: Sequence[TrialRecord],
) -> tuple[float, float]:
    """As `difference`, of a's first metric over b's second: looks at one text, which may be of one run."""
    looks = [{each.trial: each for each in reader.evaluations(sweep.id, SPLITS[name])} for name in metrics]
    sides = [
        {trial.seed: of_trial[trial.id] for trial in side if trial.id in of_trial}
        for side, of_trial in zip((a, b), looks, strict=True)
    ]
    seeds = sorted(sides[0].keys() & sides[1].keys())
    try:
        return paired([side[seed] for seed in seeds] for side in sides) if seeds else (0.0, math.inf)
    except NotComparable:
        return 0.0, math.inf


def difference(
    reader: Reader, sweep: SweepRecord, metric: str, a: Sequence[TrialRecord], b: Sequence[TrialRecord]
) -> tuple[float, float]:
    """log of a's over b's, and the half-width of its 95% interval: paired by seed."""
    if metric in SPLITS and a and b:
        try:
            found = compare(reader, sweep, a[0].id, b[0].id, split=SPLITS[metric])
        except NotComparable:
            return 0.0, math.inf
        return found.difference, (found.high - found.low) / 2 if found.over_seeds else math.inf
    if metric == STEPS:
        curves = reader.curve([trial.id for trial in (*a, *b)], "val_nelbo")
        others_S = {trial.seed: curves[trial.id] for trial in b}
        shares = [log_share(curves[each.id], others_S[each.seed]) for each in a if each.seed in others_S]
        logs = [share for share in shares if not math.isnan(share)]
    else:
        last = {row.trial: row.value for row in reader.latest(sweep.id) if row.name == metric}
        ours, others = (
            {each.seed: last[each.id] for each in side if last.get(each.id, 0) > 0} for side in (a, b)
        )
        logs = [math.log(ours[seed] / others[seed]) for seed in sorted(ours.keys() & others.keys())]
    return _mean(logs)[:2] if logs else (0.0, math.inf)
