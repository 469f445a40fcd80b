"""One look at a board: who may be the best, what taking one of them may cost, in which order they surely
stand.

Three questions, three bounds, each at 95% over everything that it says of the board (differences.py has the
errors):
1. Which may be the best? Hsu's comparisons with the best (1984): i may be, unless d_ij - q s_ij > 0 for some
   j, q being
   Dunnett's one-sided quantile. One that ran on one seed is screened out so; it is not called worse.
2. What is lost by taking i? At most max(0, max over j of d_ij + q s_ij) (the same q, simultaneous with 1).
   Known against
   those that ran on two seeds or more.
3. Is i worse than j? For pairs picked by looking, Tukey's and Kramer's bound. From it come the rank's range,
   and
   the margin of the difference to the first.
A winner is named where one beats each of the others by its own two-sided test (Gutmann and Maymin 1987).

The error that is allowed is spent to four fifths: unequal noise, and seeds that move one configuration more
than another, take the rest (`python -m benchmarks.calibration`).

Interval of a value by itself: text and, where it is known, the spread over seeds of the value itself (not of
a difference), Student's t each, in quadrature. Shapes: C configurations, S seeds, D documents, K
configurations that the others are held against."""

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

SPENT = 1 - 0.8 * (1 - CONFIDENCE)  # confidence that quantiles are taken at
HELD_AGAINST = 64  # the best, by their means: nobody is excluded by a worse one
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


class Standings(NamedTuple):
    rows: list[Standing]  # by nelbo, best first
    winner: int | None  # configuration
    effective_documents: float

    @property
    def first(self) -> Standing:
        return self.rows[0]


def standings(runs: Sequence[Run], tokens_D: Sequence[int], margin: float = MARGIN) -> Standings:
    """All runs are of one evaluation set. margin: of p_within, in nats per token.

    Raises ValueError where a run's documents are not as many as tokens_D, or a (configuration, seed) comes
    twice."""
    if not runs:
        return Standings([], None, 0.0)
    configurations, field = field_of(runs, tokens_D)
    mean_C, nats_CD = field.means()
    text = Text(field.tokens_D)
    seed_C, degrees = own_spread(field)
    half_C = student(text.degrees) * text.error(nats_CD)
    if degrees:
        half_C = np.hypot(half_C, student(degrees) * seed_C)
    order = np.argsort(mean_C, kind="stable")
    first = int(order[0])
    may_be_C, regret_C, beaten_C = _against_the_best(field, order[:HELD_AGAINST])
    rank_C, last_C, margin_C, difference_C = _pairs(field, first)
    chance = chances(field.of(order[:HELD_AGAINST].tolist()), margin)
    place_C = np.argsort(order)
    run_once_C = field.seeds_C < 2
    known = bool(degrees)
    plain_C = np.nanmean(field.value_CS, axis=1)
    rows = [
        Standing(
            configuration=configurations[c],
            nelbo=float(mean_C[c]),
            low=float(mean_C[c] - half_C[c]),
            high=float(mean_C[c] + half_C[c]),
            over_seeds=known,
            mean=float(plain_C[c]),
            seeds=int(field.seeds_C[c]),
            difference=float(difference_C[c]),
            margin=float(margin_C[c]),
            tied_with_best=bool(may_be_C[c]),
            why=_why(c == first, bool(may_be_C[c]), bool(run_once_C[c]), known),
            rank_low=int(rank_C[c]),
            rank_high=int(last_C[c]),
            regret=float(regret_C[c]),
            p_best=_chance(chance and chance.best_C, place_C[c]),
            p_within=_chance(chance and chance.within_C, place_C[c]),
        )
        for c in order
    ]
    alone = len(rows) > 1 and known and not run_once_C.any() and bool(beaten_C[first])
    return Standings(rows, configurations[first] if alone else None, text.effective)


def _chance(of_K: Array | None, place: int) -> float:
    """Of one that is beyond the best few: none."""
    if of_K is None:
        return math.nan
    return float(of_K[place]) if place < len(of_K) else 0.0


def own_spread(field: Field) -> tuple[Array, int]:
    """(error_C, degrees): standard error over seeds of each value by itself: of the mean of its runs, by the
    variance of
    runs within configurations. The seeds are common, so there are S - 1 degrees however many
    configurations."""
    value_CS = field.value_CS
    seeds_C = field.seeds_C
    centred_CS = value_CS - np.nanmean(value_CS, axis=1, keepdims=True)
    own, most = int((seeds_C - 1).sum()), int(seeds_C.max(initial=1))
    if not own:
        return np.full(len(seeds_C), np.inf), 0
    level = float(np.nansum(centred_CS**2) / own)
    # Where others' runs took out a seed's effect, it is as uncertain as if it had run all their seeds; its
    # own noise is not.
    noise = pooled(value_CS).variance / 2
    alone_C = np.nan_to_num(noise) * (1 / np.maximum(seeds_C, 1) - 1 / most)
    return np.sqrt(level / most + alone_C), most - 1


def _against_the_best(
    field: Field, at_K: NDArray[np.intp]
) -> tuple[NDArray[np.bool_], Array, NDArray[np.bool_]]:
    """(may be the best, regret, beats each of the others) of each configuration."""
    C, seeds_C = len(field.nats_CSD), field.seeds_C
    found = differences(field, at_K)
    other_CK = np.arange(C)[:, None] != at_K
    bound_CK = found.half_width(lambda d: dunnett(C, d, SPENT), dunnett(C, found.text_degrees, SPENT))
    excluded_CK = (found.mean_CK - bound_CK > 0) & other_CK
    tested_CK = (np.minimum(seeds_C[:, None], seeds_C[at_K]) >= 2) & other_CK
    upper_CK = np.where(tested_CK, found.mean_CK + bound_CK, 0.0)
    regret_C = np.where(tested_CK.any(axis=1), np.maximum(upper_CK.max(axis=1), 0.0), np.inf)
    if C == 1:
        return np.ones(1, bool), np.zeros(1), np.zeros(1, bool)
    # Whom the first must beat may be beyond the best few: there its own differences are asked for.
    own = differences(field, [int(at_K[0])])
    half_C1 = own.half_width(lambda d: student(d, SPENT), student(own.text_degrees, SPENT))
    beaten_C = np.zeros(C, bool)
    others_C1 = np.arange(C)[:, None] != at_K[:1]
    beaten_C[at_K[0]] = bool(((own.mean_CK - half_C1 > 0) | ~others_C1).all())
    return ~excluded_CK.any(axis=1), regret_C, beaten_C


def _pairs(field: Field, first: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array, Array]:
    """(rank's range from, to; margin of the difference to the first; that difference), by all pairs of those
    that ran on two seeds or more. One that ran once may have any rank."""
    C = len(field.nats_CSD)
    to_first = differences(field, [first])
    tested = np.flatnonzero(field.seeds_C >= 2)
    better_C, worse_C = np.zeros(C, np.intp), np.zeros(C, np.intp)
    some = field.of(tested.tolist())
    for at in range(0, len(tested), 256):
        columns = np.arange(at, min(at + 256, len(tested)))
        found = differences(some, columns)
        half_CK = found.half_width(lambda d: tukey(C, d), tukey(C, found.text_degrees))
        better_C[tested] += (found.mean_CK - half_CK > 0).sum(axis=1)
        worse_C[tested] += (found.mean_CK + half_CK < 0).sum(axis=1)
    margin_C1 = to_first.half_width(lambda d: tukey(C, d), tukey(C, to_first.text_degrees))
    margin_C1[first] = 0.0
    return 1 + better_C, C - worse_C, margin_C1[:, 0], to_first.mean_CK[:, 0]


def _why(first: bool, may_be_best: bool, once: bool, known: bool) -> str:
    if first:
        return "best"
    if may_be_best:
        return "within the error" if known and not once else "one seed"
    return "screened out" if once else ""
