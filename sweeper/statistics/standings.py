"""One look at a board: who may be the best, what taking one of them may cost, in which order they surely
stand.

Three questions, three bounds, each at 95% over everything that it says of the board (differences.py has the
errors):
1. Which may be the best? Hsu's comparisons with the best (1984): i may be, unless d_ij - q s_ij > 0 for some
   j, q being Dunnett's one-sided quantile. One that ran on one seed is screened out so; it is not called
   worse.
2. What is lost by taking i? At most max(0, max over j of d_ij + q s_ij) (the same q, simultaneous with 1),
   against those that ran on two seeds or more.
3. Is i worse than j? For pairs picked by looking, Tukey's and Kramer's bound. From it come the rank's range,
   and the margin of the difference to the first (values.py).
A winner is named where one beats each of the others by its own two-sided test (Gutmann and Maymin 1987).

2, 3 and a winner are said of pairs that share two seeds or more, by the pair's own spread. The error that is
allowed is spent to four fifths in 1, 2 and on a winner: unequal noise, and seeds that move one configuration
more than another, take the rest (`python -m benchmarks.calibration`).
Shapes: C configurations, S seeds, D documents, K configurations that the others are held against."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sweeper.statistics.chances import chances
from sweeper.statistics.clusters import Text
from sweeper.statistics.differences import differences, pooled
from sweeper.statistics.field import Array, Field, Run, field_of
from sweeper.statistics.quantiles import CONFIDENCE, dunnett, student, tukey
from sweeper.statistics.values import values

SPENT = 1 - 0.8 * (1 - CONFIDENCE)  # confidence that quantiles are taken at
HELD_AGAINST = 64  # the best, by their means: whom they do not exclude, no worse one excludes
PAIRS = 2**17  # of which the differences are in memory at a time: what a processor holds near
MARGIN = math.log(1.01)  # nats: 1% of perplexity


class Standing(NamedTuple):
    """A configuration among those it was compared with. NELBOs in nats per token."""

    configuration: int
    nelbo: float  # seeds' effects taken out
    low: float  # 95%, of the value by itself
    high: float
    over_seeds: bool  # whether low and high cover training seeds, or text alone
    mean: float  # of its runs as they are, not adjusted for which seeds they had
    seeds: int
    difference: float  # to the first; 0 for the first itself
    margin: float  # that the difference must exceed (all pairs); infinite where nothing can be said
    tied_with_best: bool  # it may be the best
    why: str  # 'best', 'one seed', 'within the error', 'screened out'; '' of one that is worse
    rank_low: int  # 1 + how many are surely better
    rank_high: int  # and the last place that it may have
    regret: float  # what taking it may cost, against those that ran on two seeds or more; infinite: not known
    p_best: float  # a chance, no guarantee; NaN where nothing is known
    p_within: float  # of being within 1% of the best
    text_error: float  # of the difference: its standard error over text
    seeds_error: float  # and over seeds; infinite where no spread is known


class Standings(NamedTuple):
    rows: list[Standing]  # by nelbo, best first
    winner: int | None  # configuration
    effective_documents: float

    @property
    def first(self) -> Standing:
        return self.rows[0]


def standings(runs: Sequence[Run], tokens_D: Sequence[float], margin: float = MARGIN) -> Standings:
    """All runs are of one evaluation set. margin: of p_within, in nats per token.

    Raises ValueError where a run's documents are not as many as tokens_D, or a (configuration, seed) comes
    twice."""
    if not runs:
        return Standings([], None, 0.0)
    configurations, field = field_of(runs, tokens_D)
    order = np.argsort(field.means[0], kind="stable")
    first, near = int(order[0]), order[:HELD_AGAINST]
    found = values(field, first)
    claims = _claims(field, near)
    p_best_C, p_within_C = _chances(field, near, margin)
    paired_C = (field.ran_CS & field.ran_CS[first]).sum(1) > 1
    columns = (  # as Standing has them
        np.array(configurations),
        found.nelbo_C,
        found.nelbo_C - found.half_C,
        found.nelbo_C + found.half_C,
        np.full(len(configurations), (field.seeds_C > 1).any()),
        np.nanmean(field.value_CS, axis=1),
        field.seeds_C,
        found.difference_C,
        found.margin_C,
        claims.may_be_best_C,
        _why_C(first, claims.may_be_best_C, paired_C),
        1 + claims.better_C,
        len(configurations) - claims.worse_C,
        claims.regret_C,
        p_best_C,
        p_within_C,
        found.text_C,
        found.seeds_C,
    )
    rows = list(map(Standing._make, zip(*(column[order].tolist() for column in columns), strict=True)))
    winner = configurations[first] if len(rows) > 1 and _beats_each(field, first) else None
    return Standings(rows, winner, Text(field.tokens_D).effective)


class _Claims(NamedTuple):
    may_be_best_C: NDArray[np.bool_]
    regret_C: Array  # infinite: not known
    better_C: NDArray[np.intp]  # how many are surely better
    worse_C: NDArray[np.intp]


def _claims(field: Field, near: NDArray[np.intp]) -> _Claims:
    """near: the best by their means. Whoever ran on two seeds or more is held against, too."""
    C, spread = len(field.nats_CSD), pooled(field.value_CS)
    excluded_C, regret_C = np.zeros(C, bool), np.full(C, -np.inf)
    better_C, worse_C = np.zeros(C, np.intp), np.zeros(C, np.intp)
    several = np.flatnonzero(field.seeds_C >= 2)
    against = np.union1d(near, several)
    for columns in np.array_split(against, max(1, math.ceil(len(against) * C / PAIRS))):
        found = differences(field, columns, spread)
        d_CK, text = found.mean_CK, found.text_degrees
        other_CK = np.arange(C)[:, None] != columns
        bound_CK = found.half_width(lambda d: dunnett(C, d, SPENT), dunnett(C, text, SPENT))
        excluded_C |= ((d_CK - bound_CK > 0) & other_CK).any(1)
        upper_CK = np.where(found.together_CK, d_CK + bound_CK, np.inf)
        held_CK = other_CK & (field.seeds_C[columns] >= 2)
        regret_C = np.maximum(regret_C, np.where(held_CK, upper_CK, -np.inf).max(1))
        pairs = found.of(several)  # of others there are none with a spread of their own
        bound = pairs.half_width(lambda d: tukey(C, d), tukey(C, text))
        pair_CK = np.where(pairs.together_CK, bound, np.inf)
        better_C[several] += (pairs.mean_CK - pair_CK > 0).sum(1)
        worse_C[several] += (pairs.mean_CK + pair_CK < 0).sum(1)
    held_against_nobody_C = np.isneginf(regret_C) & (C > 1)
    regret_C = np.where(held_against_nobody_C, np.inf, np.maximum(regret_C, 0.0))
    return _Claims(~excluded_C, regret_C, better_C, worse_C)


def _beats_each(field: Field, first: int) -> bool:
    """Of all others; that they ran with it on two seeds or more is a condition."""
    found = differences(field, [first])
    half_C1 = found.half_width(lambda d: student(d, SPENT), student(found.text_degrees, SPENT))
    beaten_C = ((found.mean_CK - half_C1 > 0) & found.together_CK)[:, 0]
    beaten_C[first] = True
    return bool(beaten_C.all())


def _chances(field: Field, near: NDArray[np.intp], margin: float) -> tuple[Array, Array]:
    """(best_C, within_C); of one that is beyond the best few: none. NaN where nothing is known."""
    known = chances(field.of(near), margin)
    best_C, within_C = (np.full(len(field.nats_CSD), 0.0 if known else np.nan) for _ in range(2))
    if known is not None:
        best_C[near], within_C[near] = known.best_C, known.within_C
    return best_C, within_C


def _why_C(first: int, may_be_best_C: NDArray[np.bool_], paired_C: NDArray[np.bool_]) -> NDArray[np.str_]:
    """paired: it has two seeds or more in common with the first."""
    tied_C = np.where(paired_C, "within the error", "one seed")
    why_C = np.where(may_be_best_C, tied_C, np.where(paired_C, "", "screened out"))
    why_C[first] = "best"
    return np.asarray(why_C, np.str_)
