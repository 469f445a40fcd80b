"""What is the smallest difference that a sweep of this spec can see, before anything of it has run?

Two configurations that differ by d are told apart with a chance of 4 in 5 where d = (q + t) s: s is the
standard error of their difference, q what a comparison with the best must exceed (Dunnett's quantile, as on
the board), t the normal distribution's 80% point. With R seeds, E the scatter of one configuration over seeds
that is not common to all, and m the error of masks,

    s^2 = 2 E^2 / R + 2 m^2 / W,   W = R where each round of a race has masks of its own, else 1.

The text's own error comes on top: nobody knows it before a model is scored."""

import math
from typing import NamedTuple

from sweeper.spec.spec import RANK_ERROR, SweepSpec
from sweeper.statistics.differences import PRIOR
from sweeper.statistics.quantiles import dunnett
from sweeper.statistics.scipy_private import special
from sweeper.statistics.standings import SPENT
from trainer.evaluation.sizing import RANKING_ERROR

ASSUMED = (0.004, 0.02)  # nats per token: E of what was measured so far (calm baselines, very unlike rows)
POWER = 0.8


class Resolution(NamedTuple):
    """Of the last thing that the sweep does: its race, its confirmation, or its search."""

    by: str  # 'settle', 'confirm', 'replicates', 'search'
    configurations: int  # that are compared
    seeds: int  # of each
    scatter: tuple[float, ...]  # E, nats per token: of earlier sweeps; or the least and the most assumed
    difference: tuple[float, ...]  # nats per token, for each of these; empty: nothing can be told apart


def resolution(spec: SweepSpec, trials: int, scatter: float | None = None) -> Resolution:
    """trials: configurations of the search. scatter: E of earlier sweeps; None: not known."""
    there = trials + len(spec.always)
    fresh_masks = False
    if spec.settle is not None:
        by, configurations, seeds = "settle", min(spec.settle.contenders, there), spec.settle.seeds
        fresh_masks = True
    elif spec.confirm is not None and spec.confirm.top > 1:
        by, configurations, seeds = "confirm", min(spec.confirm.top, there), spec.confirm.seeds
    else:  # what is not searched has seeds of its own
        seeds = spec.replicates if trials else spec.always_seeds
        by, configurations = "replicates" if seeds > 1 else "search", there
    degrees = _degrees(spec, configurations, seeds)
    assumed = ASSUMED if scatter is None else (scatter,)
    if degrees is None or configurations < 2:
        return Resolution(by, configurations, seeds, assumed, ())
    masks = float(spec.trainer.get(RANK_ERROR) or RANKING_ERROR)
    times = dunnett(configurations, degrees, SPENT) + float(special.ndtri(POWER))
    errors = (math.sqrt(2 * E**2 / seeds + 2 * masks**2 / (seeds if fresh_masks else 1)) for E in assumed)
    return Resolution(by, configurations, seeds, assumed, tuple(times * each for each in errors))


def _degrees(spec: SweepSpec, configurations: int, seeds: int) -> float | None:
    """As on the board (sweeper/statistics/differences.py); None where nothing shows a spread."""
    if seeds > 1:
        return min(PRIOR, (configurations - 2) * (seeds - 1)) + seeds - 1
    return spec.always_seeds - 1 if len(spec.always) > 1 and spec.always_seeds > 1 else None


def in_words(found: Resolution) -> str:
    """'perplexities that differ by 1.1% (4 times in 5): 8 configurations on 8 seeds, ...'."""
    of = f"{found.configurations} configurations on {found.seeds} seed{'' if found.seeds == 1 else 's'}"
    if found.configurations < 2:
        return "no difference: there is one configuration"
    if not found.difference:
        return f"no difference: {of}, and nothing shows a spread over seeds; `settle` and `confirm` do"
    percent, scatter = (
        " to ".join(each)
        for each in (
            [f"{100 * math.expm1(each):.1f}%" for each in found.difference],
            [f"{each:.2g}" for each in found.scatter],
        )
    )
    known = "in earlier sweeps here" if len(found.scatter) == 1 else "assumed"
    screened = ", which may screen one out and name no winner" if found.seeds == 1 else ""
    return (
        f"perplexities that differ by {percent} (4 times in 5): {of}{screened}; "
        f"scatter of a seed {scatter} nats ({known}), and the text's error on top"
    )
