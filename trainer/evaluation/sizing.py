"""How many masks a block an evaluation takes for a wanted error, known before any network is trained.

The subset estimator reads n of a block's M maskable tokens, n uniform on 1..M, and takes M times their mean.
Given n its variance is M^2 s^2 (1/n - 1/M), s^2 being the variance of a token's nats within the block; over
all n that is M s^2 (H_M - 1), where H_M = 1 + 1/2 + ... + 1/M. n itself is stratified and adds little. So
N scored tokens under K masks have, of masks alone,

    standard error of nats per token = s * sqrt((H_M - 1) / (K * N)).

s is that of the text's own unigram model, not of a network: so K belongs to the text, the block size and
the wanted error, and all trials of a sweep with one block size are evaluated under the same masks. A
network's own s is near it (docs/metrics.md has what was measured).

The fine bound (trainer/objectives/fine_bound.py) draws u from strata of unequal width: with n = ceil(u M)
there, it is

    s * sqrt(sum over k of width_k^2 * M (1/n_k - 1/M) / N)

before its controls, which halve the variance or better. A network that has learnt much has an s of up to 1.5
times the unigram model's; the two about cancel. Shapes: S sequences, L length, K masks, U points of a
stratum."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from trainer.config.evaluation import EvaluationConfig

RANKING_ERROR = 0.005  # nats per token, of masks alone: of the number that ranks, unless it is said
MOST_DRAWS = 64  # beyond, more sequences are the better buy: text has an error, too
MOST_FINE_DRAWS = 1024  # of the number that ranks, where text is common to all that is compared
POINTS = 64  # of a stratum, at which its variance is looked at


def draws_of(config: "EvaluationConfig", scored_SL: np.ndarray, block_size: int) -> int:
    """Masks a block where the bound is sampled: `draws`, or as many as `error` takes."""
    if config.error is None:
        return config.draws
    needed = (mask_error(scored_SL, block_size) / config.error) ** 2
    return min(MOST_DRAWS, max(1, math.ceil(needed)))


def fine_draws_of(error: float, scored_SL: np.ndarray, block_size: int) -> int:
    """Masks a block of the fine bound for this standard error of masks, at most MOST_FINE_DRAWS."""
    return fine_draws(error, surprisal_variance(scored_SL) / scored_SL.size, block_size)


def fine_draws(error: float, variance: float, block_size: int) -> int:
    """variance: s^2 / N."""
    low, high = 1, MOST_FINE_DRAWS  # the smallest number in between that is enough
    while low < high:
        middle = (low + high) // 2
        if variance * fine_spread(middle, block_size) <= error**2:
            high = middle
        else:
            low = middle + 1
    return low


def fine_spread(draws: int, block_size: int) -> float:
    """In place of (H_M - 1) / K. It falls with K."""
    edges = (np.arange(draws + 1) / draws) ** 2
    width_K = np.diff(edges)
    u_KU = edges[:-1, None] + width_K[:, None] * (np.arange(POINTS) + 0.5) / POINTS
    of_draw_K = (block_size / np.ceil(u_KU * block_size) - 1).mean(axis=1)
    return float((width_K**2 * of_draw_K).sum())


def plain_spread(draws: int, block_size: int) -> float:
    """(H_M - 1) / K."""
    return math.fsum(1 / n for n in range(2, block_size + 1)) / draws


def mask_error(scored_SL: np.ndarray, block_size: int) -> float:
    """Standard error of nats per token from one mask a block; scored_SL without BOS."""
    return math.sqrt(surprisal_variance(scored_SL) * plain_spread(1, block_size) / scored_SL.size)


def surprisal_variance(scored_SL: np.ndarray) -> float:
    """s^2 in nats^2: of -log p(x) over these tokens, p being their own frequencies."""
    _, counts = np.unique(scored_SL, return_counts=True)
    share = counts / scored_SL.size
    mean = -(share * np.log(share)).sum()
    return float((share * (np.log(share) + mean) ** 2).sum())
