"""Integrals over what training draws: nodes and weights over u in [0, 1], a panel for every smooth
stretch."""

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from trainer.noise.clips import Interval
from trainer.noise.schedules import NoiseSchedule

# Panels halve towards both ends of a stretch, where p' and w may have poles.
_HALVES = 0.5 ** np.arange(1, 40)
PANELS = np.concatenate([[0.0], _HALVES[::-1], 1 - _HALVES[1:], [1.0]])
_HALVINGS = 3  # of a bracket, at once
_EDGES = np.linspace(0.0, 1.0, 2**_HALVINGS + 1)[:, None]
GAUSS, GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(8)

Stretch = tuple[float, float, float, float]  # as Interval.rising has it


def nodes(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(x, dx) of Gauss-Legendre on every panel between neighbouring edges."""
    width = np.diff(edges)[:, None]
    return (edges[:-1, None] + width * (GAUSS + 1) / 2).ravel(), (width * GAUSS_WEIGHTS / 2).ravel()


_X, _DX = nodes(PANELS)


def quadrature(schedule: NoiseSchedule, clip: Interval, progress: float) -> tuple[np.ndarray, np.ndarray]:
    """(u, du): what an integral over u in [0, 1] of a function of the schedule's level is a sum over."""
    low, high = clip.time(0.0), clip.time(1.0)
    rising = clip.rising(schedule)
    if not rising:  # low = high: one time
        return np.array([a for a, _ in schedule.parts]), np.array([b - a for a, b in schedule.parts])
    if schedule.stands:
        rising = [part for each in rising for part in _at_kinks(schedule, each, progress)]
    u = [
        first + width * (((start - low) + (end - start) * _X) / (high - low))
        for first, width, start, end in rising
    ]
    du = [width * ((end - start) / (high - low) * _DX) for _, width, start, end in rising]
    return np.concatenate(u), np.concatenate(du)


def _at_kinks(schedule: NoiseSchedule, stretch: Stretch, progress: float) -> list[Stretch]:
    """The same in parts, cut where p begins to rise and where it ends to."""
    first, width, start, end = stretch

    def p(t: np.ndarray) -> np.ndarray:
        return schedule(first + width * t, progress).move_chance

    kinks = crossings(p, start, end, extremes(p, start, end))
    cuts = sorted({start, end, *(float(each) for each in kinks if start < each < end)})
    return [(first, width, a, b) for a, b in pairwise(cuts)]


def extremes(p: Callable[[np.ndarray], np.ndarray], start: float, end: float) -> np.ndarray:
    """Just above the least value of p, which rises from start to end, and just below its largest."""
    inside = 1e-12 * (end - start)
    least, largest = p(np.array([start + inside, end - inside]))
    return np.array([least * (1 + 1e-12), largest * (1 - 1e-12)])


def crossings(
    p: Callable[[np.ndarray], np.ndarray], start: float, end: float, targets: np.ndarray
) -> np.ndarray:
    """Where p, which rises from start to end, reaches each target, T of them; end where it does not.

    By bisection, several halvings at once: p takes little longer for many places than for one."""
    low, high, every = np.full_like(targets, start), np.full_like(targets, end), np.arange(len(targets))
    for _ in range(math.ceil(64 / _HALVINGS)):
        edges_ET = low + (high - low) * _EDGES
        edges_ET[-1] = high
        under_T = (p(edges_ET[1:-1]) < targets).sum(axis=0)
        low, high = edges_ET[under_T, every], edges_ET[under_T + 1, every]
    return high
