"""What is true, what seeds, masks and text do to it, and what is seen of it: boards of which the truth is
known.

A run of configuration c with seed s has on document d, per token,

    y_csd = mu_c + b_c a_s + e_cs + taste_cd + masks_bd + own_cd

a_s is the seed's effect, common to all and scaled by each in its own way (b_c = 1 + a slope); e_cs is the
run's own; taste is what text like this does to a difference, the same whatever the seed; masks are those of
an evaluation, common to the rows of one block size b, own what they do to one row alone. The search has one
draw of masks for all seeds, the race a fresh one each round. Numbers are standard deviations in nats a token.

Shapes: N boards, C configurations, S seeds (0: the search's, 1 and 2: also the baselines', 1 to 8: those of a
race's rounds), D documents.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rng = np.random.Generator
Truth = Callable[[Rng, int], Array]

BASELINES, BASELINE_SEEDS, CAP = 3, 3, 8
BLOCK_SIZES = (16, 4, 16, 8)  # of the baselines; of the searched ones one of 4, 8, 16
LEVEL = 5.4
# Scored tokens of the documents that a sweep of pydocs is evaluated on by default: 26, worth 11.9 equal ones.
TOKENS_D = np.array(
    [
        *(19, 24, 30, 55, 58, 63, 63, 98, 104, 126, 189, 189, 211, 217, 228, 234),
        *(252, 352, 378, 413, 441, 503, 504, 726, 1134, 1453),
    ],
    np.float64,
)


class Board(NamedTuple):
    """One sweep: what it would see of each configuration, if it ran it."""

    truth_C: Array
    block_size_C: NDArray[np.intp]
    search_CSD: Array  # nats, seeds 0 to 8, under the search's masks
    rounds_CRD: Array  # nats, seeds 1 to 8, each under the masks of its round
    tokens_D: Array

    @property
    def best(self) -> int:
        return int(self.truth_C.argmin())

    def loss(self, configuration: int) -> float:
        """What taking it costs."""
        return float(self.truth_C[configuration] - self.truth_C.min())

    def alone(self, configuration: int) -> bool:
        """Whether it is the best, and no other is."""
        return bool((self.truth_C > self.truth_C[configuration]).sum() == len(self.truth_C) - 1)


class World(NamedTuple):
    """What moves the values of runs."""

    name: str
    own: tuple[float, float] = (0.01, 0.01)  # of e: one a configuration, log-uniform between these
    slopes: float = 0.0
    shared: float = 0.11  # of a
    heavy: bool = False  # e has Student's t with 3 degrees, as wide as the normal
    alike: bool = False  # the slope is its block size's, and a configuration has none of its own
    baselines: float | None = None  # of their e, where they are calmer than the rest
    smooth: float = 0.0  # part of e's variance that neighbours in the space share
    text: float = 0.002  # standard error of a difference
    masks: float = 0.003  # the same, of two block sizes, of one evaluation; half as much within one

    def seeds(self, rng: Rng, block_size_NC: NDArray[np.intp], seeds: int = 1 + CAP) -> Array:
        """deviation_NCS."""
        N, C = block_size_NC.shape
        own_NC = np.exp(rng.uniform(*np.log(self.own), (N, C)))
        if self.baselines is not None:
            own_NC[:, :BASELINES] = self.baselines
        slope_NC = rng.standard_normal((N, C))
        if self.alike:
            of_size = rng.standard_normal((N, 1 + max(BLOCK_SIZES)))
            slope_NC = np.take_along_axis(of_size, block_size_NC, 1)
        e_NCS = (
            rng.standard_t(3, (N, C, seeds)) / math.sqrt(3)
            if self.heavy
            else rng.standard_normal((N, C, seeds))
        )
        shared_N1S = self.shared * rng.standard_normal((N, 1, seeds))
        own_NCS = math.sqrt(1 - self.smooth) * own_NC[..., None] * e_NCS
        return (1 + self.slopes * slope_NC)[..., None] * shared_N1S + own_NCS

    def boards(self, rng: Rng, truth_NC: Array) -> Iterator[Board]:
        block_size_NC = block_sizes(rng, *truth_NC.shape)
        return self.seen(rng, truth_NC, self.seeds(rng, block_size_NC)[..., None], block_size_NC)

    def seen(
        self, rng: Rng, truth_NC: Array, deviation_NCSD: Array, block_size_NC: NDArray[np.intp]
    ) -> Iterator[Board]:
        """Board by board: what documents and masks make of it. deviation_NCSD: or NCS1, of all documents."""
        t_D = TOKENS_D
        D, effective = len(t_D), t_D.sum() ** 2 / (t_D**2).sum()
        for truth_C, deviation_CSD, block_size_C in zip(truth_NC, deviation_NCSD, block_size_NC, strict=True):
            C, S = deviation_CSD.shape[:2]
            taste_CD = self.text * math.sqrt(effective / 2) * rng.standard_normal((C, D))
            per_token_C1D = (LEVEL + truth_C[:, None] + taste_CD)[:, None]
            # Draw 0 is the search's, 1 to 8 are the rounds'. Of a mask the error falls with a document's
            # tokens.
            of_size_BSD = 0.6 * rng.standard_normal((1 + max(BLOCK_SIZES), S, D))
            masks_CSD = of_size_BSD[block_size_C] + 0.375 * rng.standard_normal((C, S, D))
            masks_CSD *= self.masks * np.sqrt(t_D.sum() / t_D)
            per_token_CSD = per_token_C1D + deviation_CSD
            yield Board(
                truth_C,
                block_size_C,
                (per_token_CSD + masks_CSD[:, :1]) * t_D,
                (per_token_CSD + masks_CSD)[:, 1:] * t_D,
                t_D,
            )


def block_sizes(rng: Rng, N: int, C: int) -> NDArray[np.intp]:
    sizes_NC = rng.choice((4, 8, 16), (N, C))
    sizes_NC[:, :BASELINES] = BLOCK_SIZES[: min(C, BASELINES)]
    return sizes_NC


# --- what is true -------------------------------------------------------------------------------------------


def equal(C: int) -> Truth:
    return lambda rng, N: np.zeros((N, C))


def one_better(C: int, gap: float) -> Truth:
    """One of them, whichever: by so many nats a token."""

    def truth(rng: Rng, N: int) -> Array:
        truth_NC = np.full((N, C), gap)
        truth_NC[np.arange(N), rng.integers(C, size=N)] = 0.0
        return truth_NC

    return truth


def two_equal(C: int, gap: float) -> Truth:
    """And the rest far."""

    def truth(rng: Rng, N: int) -> Array:
        truth_NC = np.full((N, C), gap)
        truth_NC[:, :2] = 0.0
        return rng.permuted(truth_NC, axis=1)

    return truth


def spread(C: int, low: float, high: float | None = None) -> Truth:
    """Normal; of a standard deviation that is drawn anew for each board."""
    return lambda rng, N: rng.uniform(low, high or low, (N, 1)) * rng.standard_normal((N, C))


def by_looks(world: World, searched: int, depth: float = 0.12) -> Callable[[Rng, int], Iterator[Board]]:
    """Boards of a search that goes where it saw the least: half of its proposals, once it has begun, are near
    the best so far as seed 0 showed it, so that what it finds best flatters itself, and its rows crowd.

    The space is a square, the truth a bowl in it. Neighbours share a part of what a seed does to them
    (`smooth`): waves of a random direction, a fraction of the square long."""

    def boards(rng: Rng, N: int) -> Iterator[Board]:
        C, waves = BASELINES + searched, 24
        sizes_NC = block_sizes(rng, N, C)
        deviation_NCS = world.seeds(rng, sizes_NC)
        S = deviation_NCS.shape[2]
        lowest_NX = rng.uniform(0, 1, (N, 2))
        way_NWX, phase_NW = 6 * rng.standard_normal((N, waves, 2)), rng.uniform(0, 2 * np.pi, (N, waves))
        height_NWS = rng.standard_normal((N, waves, S)) * math.sqrt(2 / waves)
        scale = math.sqrt(world.smooth * world.own[0] * world.own[1])
        x_NCX, truth_NC = rng.uniform(0, 1, (N, C, 2)), np.empty((N, C))
        for c in range(C):
            if c >= BASELINES + 4:
                seen_NC = truth_NC[:, :c] + deviation_NCS[:, :c, 0]
                near_NX = x_NCX[np.arange(N), seen_NC.argmin(1)] + 0.1 * rng.standard_normal((N, 2))
                x_NCX[:, c] = np.where(rng.random((N, 1)) < 0.5, np.clip(near_NX, 0, 1), x_NCX[:, c])
            wave_NW = np.cos(np.einsum("nwx,nx->nw", way_NWX, x_NCX[:, c]) + phase_NW)
            deviation_NCS[:, c] += scale * np.einsum("nw,nws->ns", wave_NW, height_NWS)
            truth_NC[:, c] = depth * ((x_NCX[:, c] - lowest_NX) ** 2).sum(1)
        return world.seen(rng, truth_NC, deviation_NCS[..., None], sizes_NC)

    return boards
