"""A sweep held against what was printed: number by number, and claim by claim.

One word for a cell, from the 95% interval of ours and the printed number, as ratios (logarithms of both):

- reproduced: the whole interval lies within 10% of the printed number;
- differs: the printed number lies outside the interval;
- cannot be told apart: it lies inside, but the interval reaches further than 10%; or there is one seed only;
- not a perplexity: the printed number is none, so there is nothing to reproduce.

Where the printed number has an error of its own (`noise`), the interval is that of the difference. Where text
or model are not the printed ones (`compare: ratio`), each number is taken over its column's first one, or
over that of the row it names (`over`): those two come of one draw, and their ratio has no error of its own.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from sweeper.compare import NotComparable, compare
from sweeper.ranking import quantity
from sweeper.reference import EXACT, OVER, ROW, Reference
from sweeper.reference import Sentence as Claim
from sweeper.spec import SweepSpec
from sweeper.statistics import CONFIDENCE, Run, standings
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord
from trainer.config import content_hash

CLOSE = math.log(1.1)
REPRODUCED, DIFFERS, UNTOLD, NO_PPL = (
    "reproduced",
    "differs",
    "cannot be told apart",
    "not a perplexity",
)
BASE, NOT_RUN, UNPRINTED = "the base", "not run", ""
HOLDS, FAILS, UNKNOWN = "holds", "does not hold", "cannot be told"
PERPLEXITIES = {"test_ppl": "test", "val_ppl": "valid"}
SPLITS = {**PERPLEXITIES, "test_nelbo": "test", "val_nelbo": "valid"}
Trials = Sequence[Sequence[TrialRecord]]  # by entry of `always`, one a seed


class NoReference(ValueError):
    """The sweep has nothing to be held against, in a sentence."""


class Measured(NamedTuple):
    """The logarithm of a number of ours, over seeds."""

    log: float
    half: float  # of its 95% interval; infinite with one seed
    seeds: int


class Cell(NamedTuple):
    printed: float | None
    ours: float | None
    low: float | None
    high: float | None
    seeds: int
    word: str


class Row(NamedTuple):
    name: str
    cells: dict[str, Cell]  # by printed column
    weight: tuple[float, float] | None  # what the objective is of the bound: ours, and c


class Difference(NamedTuple):
    less: str
    more: str
    log_ratio: float  # of the first over the second
    half: float

    @property
    def word(self) -> str:
        if self.log_ratio + self.half < 0:
            return HOLDS
        return FAILS if self.log_ratio - self.half > 0 else UNKNOWN


class Finding(NamedTuple):
    claim: Claim
    differences: list[Difference]

    @property
    def word(self) -> str:
        """It holds where every part of it does, and does not where one does not."""
        words = [each.word for each in self.differences]
        if FAILS in words:
            return FAILS
        return HOLDS if words and set(words) == {HOLDS} else UNKNOWN


class Report(NamedTuple):
    sweep: str
    reference: Reference
    rows: list[Row]
    findings: list[Finding]
    seeds: int
    hours: float  # of processors

    def to_json(self) -> dict[str, Any]:
        rows = [
            {"row": row.name, "weight": row.weight, **{key: c._asdict() for key, c in row.cells.items()}}
            for row in self.rows
        ]
        claims = [
            {
                "says": each.claim.says,
                "by": each.claim.by,
                "word": each.word,
                "parts": [{**part._asdict(), "half": _finite(part.half)} for part in each.differences],
            }
            for each in self.findings
        ]
        kept = {"sweep": self.sweep, "title": self.reference.title, "compare": self.reference.compare}
        return {**kept, "seeds": self.seeds, "hours": self.hours, "rows": rows, "claims": claims}


def report(reader: Reader, sweep: SweepRecord) -> Report:
    """Raises NoReference."""
    spec = SweepSpec.from_resolved(sweep.spec)
    if spec.reference is None:
        raise NoReference(
            f"{sweep.name} has no `reference`: nothing was printed that it could be held against"
        )
    trials = _complete(reader, sweep, spec)
    metrics = {
        metric: _measure(reader, sweep, metric, trials) for metric in set(spec.reference.columns.values())
    }
    rows = _rows(reader, sweep, spec.reference, trials, metrics)
    findings = [_finding(reader, sweep, spec.reference, claim, trials) for claim in spec.reference.sentences]
    everything = reader.trials(sweep.id)
    seconds = math.fsum(max(trial.cpu_seconds, trial.gpu_seconds) for trial in everything)
    stages = {trial.stage for trial in everything if trial.stage}
    seconds += math.fsum(stage.cpu_seconds for stage in reader.stages(sorted(stages)))
    return Report(sweep.name, spec.reference, rows, findings, spec.always_seeds, seconds / 3600)


# --- ours ---------------------------------------------------------------------------------------
def _complete(reader: Reader, sweep: SweepRecord, spec: SweepSpec) -> list[list[TrialRecord]]:
    """By entry of `always`, in its order: its complete trials, one a seed."""
    ids = reader.configuration_hashes(sweep.id)
    found: dict[int, dict[int, TrialRecord]] = defaultdict(dict)
    for trial in reader.trials(sweep.id):
        if trial.state == "complete" and trial.repeat_of is None:
            found[trial.configuration].setdefault(trial.seed, trial)
    places = (ids.get(content_hash(spec.train_config(entry, 0).content()), -1) for entry in spec.always)
    return [[trial for _, trial in sorted(found.get(place, {}).items())] for place in places]


def _measure(reader: Reader, sweep: SweepRecord, metric: str, trials: Trials) -> list[Measured | None]:
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
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(logs, ddof=1) / math.sqrt(n))
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
        for standing in standings([run for run, _ in members], members[0][1]):
            half = math.inf if standing.seeds < 2 else (standing.high - standing.low) / 2
            found[standing.configuration] = Measured(standing.nelbo, half, standing.seeds)
    return [found.get(place) for place in range(len(trials))]


def _weights(reader: Reader, sweep: SweepRecord, trials: Trials) -> list[float | None]:
    """log(objective_ppl) / test_nelbo, the mean over seeds."""
    last = {(row.trial, row.name): row.value for row in reader.latest(sweep.id)}
    found = []
    for mine in trials:
        ratios = [
            last[trial.id, "objective"] / last[trial.id, "test_nelbo"]
            for trial in mine
            if {(trial.id, "objective"), (trial.id, "test_nelbo")} <= last.keys()
        ]
        found.append(math.fsum(ratios) / len(ratios) if ratios else None)
    return found


# --- against theirs -----------------------------------------------------------------------------
def _rows(
    reader: Reader,
    sweep: SweepRecord,
    reference: Reference,
    trials: Trials,
    metrics: Mapping[str, Sequence[Measured | None]],
) -> list[Row]:
    weights = _weights(reader, sweep, trials)
    places = {row[ROW]: place for place, row in enumerate(reference.rows)}
    bases: dict[str, int] = {}  # of a ratio: each column's first row that has both numbers
    rows = []
    for place, row in enumerate(reference.rows):
        cells = {}
        for column, metric in reference.columns.items():
            theirs, ours = _number(row.get(column)), metrics[metric][place]
            if theirs is None:
                word = UNPRINTED
            elif not row.get(EXACT, True):
                word = NO_PPL
            elif ours is None:
                word = NOT_RUN
            elif reference.compare == "value":
                word = verdict(ours.log - math.log(theirs), ours.half, reference.noise)
            elif column not in bases:
                bases[column], word = place, BASE
            else:
                base = places[row[OVER]] if OVER in row else bases[column]
                ratio, half = _difference(reader, sweep, metric, trials[place], trials[base])
                printed = math.log(theirs) - math.log(_number(reference.rows[base].get(column)) or theirs)
                noise = 0.0 if OVER in row else math.sqrt(2) * reference.noise
                word = verdict(ratio - printed, half, noise)
            cells[column] = _cell(theirs, ours, word)
        c, weight = _number(row.get("c")), weights[place]
        rows.append(Row(str(row[ROW]), cells, None if c is None or weight is None else (weight, c)))
    return rows


def verdict(distance: float, half: float, noise: float = 0.0) -> str:
    """distance: log of ours over theirs; half: of the interval of ours; noise: standard error of theirs."""
    if not math.isfinite(half):
        return UNTOLD
    half = math.hypot(half, float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * noise)
    if abs(distance) + half <= CLOSE:
        return REPRODUCED
    return DIFFERS if abs(distance) > half else UNTOLD


def _cell(theirs: float | None, ours: Measured | None, word: str) -> Cell:
    if ours is None:
        return Cell(theirs, None, None, None, 0, word)
    ends = (ours.log - ours.half, ours.log + ours.half)
    low, high = (_exp(end) if math.isfinite(end) else None for end in ends)
    return Cell(theirs, _exp(ours.log), low, high, ours.seeds, word)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _exp(log: float) -> float:
    return math.exp(min(log, 700.0))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


# --- claims -------------------------------------------------------------------------------------
def _finding(
    reader: Reader,
    sweep: SweepRecord,
    reference: Reference,
    claim: Claim,
    trials: Trials,
) -> Finding:
    place = {row[ROW]: i for i, row in enumerate(reference.rows)}
    found = []
    for less, more in claim.less:
        a, b = trials[place[less]], trials[place[more]]
        found.append(Difference(less, more, *_difference(reader, sweep, claim.by, a, b)))
    return Finding(claim, found)


def _difference(
    reader: Reader, sweep: SweepRecord, metric: str, a: Sequence[TrialRecord], b: Sequence[TrialRecord]
) -> tuple[float, float]:
    """log of a's over b's, and the half-width of its 95% interval: paired by seed."""
    if metric in SPLITS and a and b:
        try:
            found = compare(reader, sweep, a[0].id, b[0].id, split=SPLITS[metric])
        except NotComparable:
            return 0.0, math.inf
        return found.difference, (found.high - found.low) / 2 if found.over_seeds else math.inf
    last = {row.trial: row.value for row in reader.latest(sweep.id) if row.name == metric}
    ours = {trial.seed: last[trial.id] for trial in a if last.get(trial.id, 0) > 0}
    others = {trial.seed: last[trial.id] for trial in b if last.get(trial.id, 0) > 0}
    logs = [math.log(ours[seed] / others[seed]) for seed in sorted(ours.keys() & others.keys())]
    return _mean(logs)[:2] if logs else (0.0, math.inf)
