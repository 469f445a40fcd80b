"""A sweep held against what was printed: number by number, and claim by claim.

One word for a cell, from the 95% interval of ours and the printed number, as ratios (logarithms of both):

- reproduced: the whole interval lies within 10% of the printed number;
- differs: the printed number lies outside the interval;
- cannot be told apart: it lies inside, but the interval reaches further than 10%; or there is one seed only;
- not a perplexity: the printed number is none, so there is nothing to reproduce.

Where the printed number has an error of its own (`noise`), the interval is that of the difference. Where text
or model are not the printed ones (`compare: ratio`), each number is taken over its column's first one, or
over that of the row it names (`over`); what was printed of those two from one draw (`one_draw`) has a ratio
without an error of its own.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sweeper.results.compare import finite
from sweeper.results.measured import (
    FAILS,
    HOLDS,
    UNKNOWN,
    Difference,
    Measured,
    Trials,
    complete,
    difference,
    measure,
    of_two_metrics,
    weights,
)
from sweeper.spec.reference import DRAWN, EXACT, OVER, ROW, SAME, Claim, Reference
from sweeper.spec.spec import SweepSpec
from sweeper.statistics.quantiles import CONFIDENCE
from sweeper.statistics.scipy_private import special
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord

CLOSE = math.log(1.1)
CLOSE_TO_C = 0.05  # of the weight c: so far may the objective over the bound be from it
REPRODUCED, DIFFERS, UNTOLD, NO_PPL = (
    "reproduced",
    "differs",
    "cannot be told apart",
    "not a perplexity",
)
OTHER, BASE, NOT_RUN, UNPRINTED = "another quantity", "the base", "not run", ""


class NoReference(ValueError):
    """The sweep has nothing to be held against, in a sentence."""


class Ratio(NamedTuple):
    """Of a number over that of its base."""

    printed: float
    ours: float
    low: float | None
    high: float | None


class Cell(NamedTuple):
    printed: float | None
    ours: float | None
    low: float | None
    high: float | None
    seeds: int
    word: str
    ratio: Ratio | None = None  # what the word is about, where ratios are compared


class Weight(NamedTuple):
    """What the objective is of the bound on the same tokens, and the constant c that it would be of it."""

    ours: float
    half: float  # of its 95% interval over seeds
    c: float

    @property
    def word(self) -> str:
        low, high = (self.ours - self.half) / self.c, (self.ours + self.half) / self.c
        if low >= 1 - CLOSE_TO_C and high <= 1 + CLOSE_TO_C:
            return f"within {CLOSE_TO_C:.0%}"
        if high < 1 - CLOSE_TO_C or low > 1 + CLOSE_TO_C:
            return f"not within {CLOSE_TO_C:.0%}"
        return UNTOLD


class Row(NamedTuple):
    name: str
    cells: dict[str, Cell]  # by printed column
    weight: Weight | None


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

    def explained(self) -> list[str]:
        """What is compared, what its words mean, and what it has cost: a sentence or two each."""
        reference, ratios = self.reference, self.reference.compare == "ratio"
        over = "over a column's first number"
        if any(OVER in row for row in reference.rows):
            over += ", or that of the row which `over` names"
        words = (
            f"reproduced: the 95% interval of our {'ratio' if ratios else 'number'} lies within 10% of the "
            "printed one; differs: it leaves it out; else the two cannot be told apart."
        )
        if reference.noise:
            errors = ", ".join(f"{column} {noise:g}" for column, noise in reference.noise.items())
            words += f" The draw behind a printed number gives its logarithm an error, taken as: {errors}"
            words += "; none between a row and its `over`" if reference.one_draw else ""
            is_large = max(reference.noise.values()) > 0.05
            words += ". Where it is above 0.05, nothing can be reproduced." if is_large else "."
        first = f"Model or text are not the printed ones, so ratios are compared: {over}."
        cost = f"{self.hours:.2f} processor-hours, with the pretrains that other sweeps share."
        return [*([first] if ratios else []), words, f"{cost} {self.seeds} seeds."]

    def to_json(self) -> dict[str, Any]:
        rows = [
            {
                "row": row.name,
                "weight": row.weight and {**row.weight._asdict(), "half": finite(row.weight.half)},
                **{
                    key: {**cell._asdict(), "ratio": cell.ratio and cell.ratio._asdict()}
                    for key, cell in row.cells.items()
                },
            }
            for row in self.rows
        ]
        claims = [
            {
                "says": each.claim.says,
                "by": each.claim.by,
                "word": each.word,
                "parts": [
                    {
                        **part._asdict(),
                        "half": finite(part.half),
                        "sees": finite(part.sees),
                        "word": part.word,
                    }
                    for part in each.differences
                ],
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
    trials = complete(reader, sweep, spec)
    metrics = {
        metric: measure(reader, sweep, metric, trials) for metric in set(spec.reference.columns.values())
    }
    rows = _rows(reader, sweep, spec.reference, trials, metrics)
    findings = [_finding(reader, sweep, spec.reference, claim, trials) for claim in spec.reference.sentences]
    everything = reader.trials(sweep.id)
    seconds = math.fsum(max(trial.cpu_seconds, trial.gpu_seconds) for trial in everything)
    stages = {trial.stage for trial in everything if trial.stage}
    seconds += math.fsum(stage.cpu_seconds for stage in reader.stages_behind(stages))
    return Report(sweep.name, spec.reference, rows, findings, spec.always_seeds, seconds / 3600)


# --- against theirs -----------------------------------------------------------------------------
def _rows(
    reader: Reader,
    sweep: SweepRecord,
    reference: Reference,
    trials: Trials,
    metrics: Mapping[str, Sequence[Measured | None]],
) -> list[Row]:
    ratios = weights(reader, sweep, trials)
    places = {row[ROW]: place for place, row in enumerate(reference.rows)}
    rows = []
    for place, row in enumerate(reference.rows):
        cells = {}
        for column, metric in reference.columns.items():
            theirs, ours, ratio = _number(row.get(column)), metrics[metric][place], None
            if theirs is None:
                word = UNPRINTED
            elif not row.get(EXACT, True):
                word = NO_PPL
            elif not row.get(SAME, True):
                word = OTHER
            elif ours is None:
                word = NOT_RUN
            elif reference.compare == "value":
                noise = _noise(reference, column, place)
                word = verdict(ours.log - math.log(theirs), ours.half, noise)
            elif (base := places[row[OVER]] if OVER in row else _base(reference, column)) == place:
                word = BASE
            else:
                log, half = difference(reader, sweep, metric, trials[place], trials[base])
                printed = theirs / (_number(reference.rows[base].get(column)) or math.nan)
                one_draw = OVER in row and column in reference.one_draw
                noise = (
                    0.0 if one_draw else math.hypot(*(_noise(reference, column, p) for p in (place, base)))
                )
                word = verdict(log - math.log(printed), half, noise)
                ratio = Ratio(printed, *_ends(log, half)) if trials[place] and trials[base] else None
            cells[column] = _cell(theirs, ours, word, ratio)
        c, weight = _number(row.get("c")), ratios[place]
        rows.append(
            Row(str(row[ROW]), cells, None if c is None or weight is None else Weight(*weight[:2], c))
        )
    return rows


def _base(reference: Reference, column: str) -> int:
    """The column's first row that is not over another one and has a number to be compared with."""
    for place, row in enumerate(reference.rows):
        comparable = row.get(EXACT, True) and row.get(SAME, True)
        if OVER not in row and comparable and _number(row.get(column)) is not None:
            return place
    return -1


def _noise(reference: Reference, column: str, place: int) -> float:
    return reference.noise.get(column, 0.0) if reference.rows[place].get(DRAWN, True) else 0.0


def verdict(distance: float, half: float, noise: float = 0.0) -> str:
    """distance: log of ours over theirs; half: of the interval of ours; noise: standard error of theirs."""
    if not math.isfinite(half):
        return UNTOLD
    half = math.hypot(half, float(special.ndtri((1 + CONFIDENCE) / 2)) * noise)
    if abs(distance) + half <= CLOSE:
        return REPRODUCED
    return DIFFERS if abs(distance) > half else UNTOLD


def _cell(theirs: float | None, ours: Measured | None, word: str, ratio: Ratio | None) -> Cell:
    if ours is None:
        return Cell(theirs, None, None, None, 0, word)
    return Cell(theirs, *_ends(ours.log, ours.half), ours.seeds, word, ratio)


def _ends(log: float, half: float) -> tuple[float, float | None, float | None]:
    """A number and the ends of its interval, from their logarithms."""
    low, high = (_exp(end) if math.isfinite(end) else None for end in (log - half, log + half))
    return _exp(log), low, high


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
        if claim.over is None:
            found.append(Difference(less, more, *difference(reader, sweep, claim.by, a, b)))
        else:
            names, metrics = (f"{less}, {claim.by}", f"{more}, {claim.over}"), (claim.by, claim.over)
            found.append(Difference(*names, *of_two_metrics(reader, sweep, metrics, a, b)))
    return Finding(claim, found)
