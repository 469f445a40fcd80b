"""What sweeper/statistics computes for all pairs at once, here pair by pair, in plain loops.

Runs are {(configuration, seed): nats of each document}."""

import math
from itertools import combinations
from typing import NamedTuple

import numpy as np

Runs = dict[tuple[int, int], list[float]]


class Pair(NamedTuple):
    difference: float
    shared: int
    seeds: float  # standard error
    degrees: float


def value(nats: list[float], tokens: list[int]) -> float:
    return math.fsum(nats) / sum(tokens)


def by_seed(runs: Runs, tokens: list[int], a: int, b: int) -> list[float]:
    """The differences of two configurations on the seeds that both have run."""
    seeds = sorted({s for c, s in runs if c == a} & {s for c, s in runs if c == b})
    return [value(runs[a, s], tokens) - value(runs[b, s], tokens) for s in seeds]


def pooled(runs: Runs, tokens: list[int]) -> tuple[float, float]:
    """(squares, degrees) over all pairs."""
    squares = degrees = 0.0
    for a, b in combinations(sorted({c for c, _ in runs}), 2):
        found = by_seed(runs, tokens, a, b)
        if len(found) > 1:
            squares += math.fsum((each - np.mean(found)) ** 2 for each in found)
            degrees += len(found) - 1
    return squares, degrees


def together(runs: Runs, tokens: list[int], a: int, b: int, prior: float) -> Pair:
    """Of two that share two seeds or more: a moderated t."""
    found = by_seed(runs, tokens, a, b)
    squares, degrees = pooled(runs, tokens)
    own = math.fsum((each - np.mean(found)) ** 2 for each in found)
    of_all = prior * squares / degrees if prior else 0.0
    variance = (of_all + own) / (prior + len(found) - 1)
    return Pair(float(np.mean(found)), len(found), math.sqrt(variance / len(found)), prior + len(found) - 1.0)


def means(runs: Runs, tokens: list[int]) -> dict[int, float]:
    """By least squares, configurations and seeds as columns; for runs that are all connected. The effects of
    the seeds sum to 0."""
    configurations, seeds = (sorted({key[i] for key in runs}) for i in (0, 1))
    rows, values = [], []
    for (c, s), nats in runs.items():
        rows.append([float(c == each) for each in configurations] + [float(s == each) for each in seeds])
        values.append(value(nats, tokens))
    rows.append([0.0] * len(configurations) + [1e3] * len(seeds))
    values.append(0.0)
    solution = np.linalg.lstsq(np.array(rows), np.array(values), rcond=None)[0]
    return dict(zip(configurations, solution[: len(configurations)].tolist(), strict=True))


def error_of_text(nats: list[float], tokens: list[int]) -> float:
    """Standard error of a value (or of a difference): documents as clusters of a ratio (CR2)."""
    total, mean = sum(tokens), value(nats, tokens)
    return (
        math.sqrt(math.fsum((n - mean * t) ** 2 / (1 - t / total) for n, t in zip(nats, tokens, strict=True)))
        / total
    )
