"""Boards of known truth: made runs, and what a look at them claims."""

from typing import NamedTuple

import numpy as np

from sweeper.statistics.field import Run
from sweeper.statistics.standings import standings

TOKENS = [3, 5, 4, 8]


def flat(levels: dict[tuple[int, int], float], tokens: list[int] = TOKENS) -> list[Run]:
    """Runs that are equally good on every document, by (configuration, seed): no error of the text."""
    return [Run(c, s, [level * t for t in tokens]) for (c, s), level in levels.items()]


class Claims(NamedTuple):
    """Shares of boards, or of rows."""

    covered: float  # of rows: the truth lies within the interval of the value
    winner: float  # of boards: a winner is named that is not better than all others
    lost: float  # of boards: the true best, or a given one of equal ones, is said not to be
    worse: float  # of boards: a rank's range leaves out the true rank
    cost: float  # of boards: taking the first costs more than its bound says
    right: float  # of boards: the truly best one is named as winner


def simulate(
    seeds_C: list[list[int]],
    mu_C: np.ndarray,
    *,
    shared: float,
    own: float,
    boards: int,
    slope: float = 0.0,
    documents: int = 60,
) -> Claims:
    """shared, own: standard deviations of a seed's effect and of what is left; slope: of the factor by which
    a configuration takes a seed's effect."""
    rng = np.random.default_rng(20)
    covered, winner, lost, worse, cost, right = [], 0, 0, 0, 0, 0
    best, a_best = float(mu_C.min()), int(mu_C.argmin())
    tokens = rng.integers(60, 400, documents)
    for _ in range(boards):
        hard_D = rng.normal(0, 0.4, documents)
        taste_CD = rng.normal(0, 0.05, (len(mu_C), documents))
        seed_S = rng.normal(0, shared, 1 + max(map(max, seeds_C)))
        slope_C = rng.normal(1, slope, len(mu_C))
        runs = [
            Run(c, s, (mu_C[c] + slope_C[c] * seed_S[s] + rng.normal(0, own) + hard_D + taste_CD[c]) * tokens)
            for c, seeds in enumerate(seeds_C)
            for s in seeds
        ]
        found = standings(runs, tokens.tolist())
        rows = {each.configuration: each for each in found.rows}
        covered += [rows[c].low <= mu <= rows[c].high for c, mu in enumerate(mu_C)]
        named = None if found.winner is None else mu_C[found.winner]
        winner += named is not None and (named > best or (mu_C == named).sum() > 1)
        right += named is not None and named == best and (mu_C == named).sum() == 1
        lost += not rows[a_best].tied_with_best
        worse += any(
            rows[c].rank_low > (mu_C <= mu).sum() or rows[c].rank_high < 1 + (mu_C < mu).sum()
            for c, mu in enumerate(mu_C)
        )
        cost += mu_C[found.first.configuration] - best > found.first.regret
    return Claims(
        float(np.mean(covered)), winner / boards, lost / boards, worse / boards, cost / boards, right / boards
    )
