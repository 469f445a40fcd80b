"""What a set of runs says about configurations: means over seeds, 95% intervals, and ties.

A run i trains configuration c with seed s; all runs are evaluated on the same documents d, in which it
has nats_id over tokens_d. Its NELBO is y_i = sum_d nats_id / sum_d tokens_d, and

    y_i = mu_c + a_s + e_cs        a_s ~ (0, A^2), e_cs ~ (0, E^2), independent

A seed sets the pretrain, the data order and the masks, so that its effect a_s is common to all
configurations that use it, and far larger than what tells them apart (0.07 against 0.01 nats a token).

Means. mu and a are fitted by least squares, with the effects of the seeds that a configuration is
connected to (directly or through others) summing to 0. So a configuration that ran with seed 0 alone
is not punished for an unlucky seed 0 where others show that it is one; where all ran the same seeds,
mu_c is the plain mean. Every mu_c, and every difference, is a weighted sum of runs, sum_i w_i y_i,
and everything below follows from its weights.

Seeds. Var(sum w_i y_i) = A^2 sum_s (sum_{i in s} w_i)^2 + E^2 sum_i w_i^2. Known are
    E^2, the residual mean square, with (C - 1)(S - 1) degrees of freedom where C configurations all
        ran S seeds (in general: runs - configurations - independent contrasts of seeds);
    L^2 = A^2 + E^2, the variance within configurations. Its degrees of freedom are the contrasts of
        seeds, S - 1, however many configurations there are: they share the seeds.
    For m common seeds a difference has 2 E^2 / m. Where E^2 is not known (one configuration alone has
    several seeds), L^2 stands for it, which is never too small in expectation.

Documents. They are the clusters of a ratio estimator: the variance is D / (D - 1) sum_d (n_d - r t_d)^2
over (sum_d t_d)^2 with n_d = sum_i w_i nats_id, t_d = sum_i w_i tokens_d, r = sum n / sum tokens. For a
difference the weights cancel, so what all runs find hard drops out (pairing).

Interval of a configuration: the two half-widths, by Student's t for documents and for seeds, added in
quadrature. Of a perplexity: exp of the NELBO's. Documents and seeds are both taken as samples; what
varies with both is counted twice, so intervals are a little wide. A winner's own interval does not
correct for having been picked as the winner; fresh seeds (confirm) do.

Ties. A configuration is tied with the best one unless their difference exceeds Tukey's and Kramer's
bound for all pairs of the board: the studentized range's quantile over sqrt(2), in the place of the
normal's and of t's, the two half-widths again added in quadrature. All pairs, because the best is picked
by looking at the data: comparisons with a control that was fixed beforehand (Dunnett, or Holm over the
rows) would call equal configurations different far more often than on 5% of the boards. In
quadrature, because Welch's and Satterthwaite's degrees of freedom are too many whenever two or four
degrees of freedom happen to say that seeds hardly matter (18% false claims instead of 5%, simulated).

Assumed: documents are exchangeable and many (20 or more); e_cs has one variance for all configurations
and is about normal; evaluations share documents, sequences and, at equal block size, masks.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95

Array = NDArray[np.float64]


class Run(NamedTuple):
    configuration: int
    seed: int
    nats_D: Sequence[float]  # sums per document, in the evaluation set's order


class Standing(NamedTuple):
    """A configuration among those it was compared with. NELBOs in nats per token."""

    configuration: int
    nelbo: float  # mu_c
    low: float  # 95%: documents, and seeds where their spread is known
    high: float
    mean: float  # of its runs as they are, not adjusted for which seeds they had
    seeds: int
    difference: float  # to the best; 0 for the best itself
    margin: float  # that the difference must exceed; infinite where nothing can be said
    tied_with_best: bool
    why: str  # of a tie: 'best', 'one seed', 'within the error'; '' where there is none


class Spread(NamedTuple):
    """Variances over seeds of one run's NELBO. degrees 0: not known."""

    level: float  # L^2 = A^2 + E^2
    level_degrees: int
    paired: float  # E^2
    paired_degrees: int

    def of(self, weights_RN: Array, seed_N: NDArray[np.intp]) -> tuple[Array, int]:
        """The variance of each weighted sum of runs, and its degrees of freedom (0: not known)."""
        by_seed_RS = weights_RN @ np.eye(seed_N.max() + 1)[seed_N]
        common_R = np.einsum("rs,rs->r", by_seed_RS, by_seed_RS)
        own_R = np.einsum("rn,rn->r", weights_RN, weights_RN)
        if not self.paired_degrees:
            return self.level * np.maximum(common_R, own_R), self.level_degrees
        shared = max(self.level - self.paired, 0.0)
        contrast = bool((common_R < 1e-9).all())
        degrees = self.paired_degrees if contrast else self.level_degrees
        return shared * common_R + self.paired * own_R, degrees


class _Fit(NamedTuple):
    """Least squares of y = mu_c + a_s. C configurations, N runs, S seeds."""

    configurations: list[int]
    configuration_N: NDArray[np.intp]
    seed_N: NDArray[np.intp]
    weights_CN: Array  # mu_C = weights_CN @ y_N
    spread: Spread


def standings(runs: Sequence[Run], tokens_D: Sequence[int]) -> list[Standing]:
    """Every configuration's standing, best first. All runs are of one evaluation set.

    Raises ValueError where a run's documents are not as many as tokens_D, or a (configuration, seed)
    comes twice.
    """
    if not runs:
        return []
    if any(len(run.nats_D) != len(tokens_D) for run in runs):
        raise ValueError("runs are compared on the same documents only")
    if len({(run.configuration, run.seed) for run in runs}) < len(runs):
        raise ValueError("a configuration has two runs with the same seed")
    nats_ND = np.array([run.nats_D for run in runs], dtype=np.float64)
    tokens = np.array(tokens_D, dtype=np.float64)
    fit = _fit(runs, nats_ND.sum(1) / tokens.sum())

    nats_CD = fit.weights_CN @ nats_ND
    nelbo_C = nats_CD.sum(1) / tokens.sum()
    document_C = _document_variance(nats_CD, nelbo_C, tokens)
    seed_C, degrees = fit.spread.of(fit.weights_CN, fit.seed_N)
    half_C = stats.t.ppf((1 + CONFIDENCE) / 2, max(len(tokens_D) - 1, 1)) * np.sqrt(document_C)
    if degrees:
        half_C = np.hypot(half_C, stats.t.ppf((1 + CONFIDENCE) / 2, degrees) * np.sqrt(seed_C))

    best = int(nelbo_C.argmin())
    difference_C, margin_C = _compare(fit, nats_CD, tokens, best)
    seeds_C = np.bincount(fit.configuration_N)
    mean_C = np.bincount(fit.configuration_N, nats_ND.sum(1) / tokens.sum()) / seeds_C
    result = []
    for c in np.argsort(nelbo_C, kind="stable"):
        tied = bool(difference_C[c] <= margin_C[c])
        why = "best" if c == best else "one seed" if not degrees else "within the error" if tied else ""
        standing = Standing(
            configuration=fit.configurations[c],
            nelbo=float(nelbo_C[c]),
            low=float(nelbo_C[c] - half_C[c]),
            high=float(nelbo_C[c] + half_C[c]),
            mean=float(mean_C[c]),
            seeds=int(seeds_C[c]),
            difference=float(difference_C[c]),
            margin=float(margin_C[c]),
            tied_with_best=tied,
            why=why,
        )
        result.append(standing)
    return result


def spread(runs: Sequence[Run], tokens_D: Sequence[int]) -> Spread:
    """What the runs say about seeds alone."""
    y_N = np.array([np.sum(run.nats_D) for run in runs]) / np.sum(tokens_D)
    return _fit(runs, y_N).spread


def _fit(runs: Sequence[Run], y_N: Array) -> _Fit:
    configurations = sorted({run.configuration for run in runs})
    place = {configuration: c for c, configuration in enumerate(configurations)}
    configuration_N = np.array([place[run.configuration] for run in runs])
    seed_N = np.unique([run.seed for run in runs], return_inverse=True)[1]
    N, C, S = len(runs), len(configurations), int(seed_N.max()) + 1

    count_CS = np.zeros((C, S))
    count_CS[configuration_N, seed_N] = 1
    share_CS = count_CS / count_CS.sum(1, keepdims=True)
    mean_CN = np.zeros((C, N))
    mean_CN[configuration_N, np.arange(N)] = 1 / count_CS.sum(1)[configuration_N]

    # The normal equations of the seeds once the configurations' means are taken out; their
    # pseudo-inverse is the solution of least norm, whose effects sum to 0 among connected seeds.
    within_SN = np.eye(S)[:, seed_N] - share_CS.T[:, configuration_N]
    normal_SS = np.diag(count_CS.sum(0)) - count_CS.T @ share_CS
    effect_SN = np.linalg.pinv(normal_SS, hermitian=True) @ within_SN
    weights_CN = mean_CN - share_CS @ effect_SN

    contrasts = int(np.linalg.matrix_rank(normal_SS, hermitian=True))
    residual_N = y_N - (weights_CN @ y_N)[configuration_N] - (effect_SN @ y_N)[seed_N]
    paired_degrees = N - C - contrasts
    paired = float((residual_N**2).sum() / paired_degrees) if paired_degrees else 0.0
    level = float(((y_N - (mean_CN @ y_N)[configuration_N]) ** 2).sum() / (N - C)) if N > C else 0.0
    return _Fit(
        configurations, configuration_N, seed_N, weights_CN, Spread(level, contrasts, paired, paired_degrees)
    )


def _document_variance(nats_RD: Array, ratio_R: Array, tokens_D: Array) -> Array:
    """Of each row's nats per token, documents as clusters."""
    D = len(tokens_D)
    if D < 2:
        return np.full(len(nats_RD), np.inf)
    residual_RD = nats_RD - ratio_R[:, None] * tokens_D
    return D / (D - 1) * (residual_RD**2).sum(1) / tokens_D.sum() ** 2


def _compare(fit: _Fit, nats_CD: Array, tokens_D: Array, best: int) -> tuple[Array, Array]:
    """Each configuration's difference to the best, and what it must exceed (Tukey and Kramer)."""
    nats_CD = nats_CD - nats_CD[best]
    difference_C = nats_CD.sum(1) / tokens_D.sum()
    document_C = _document_variance(nats_CD, difference_C, tokens_D)
    seed_C, degrees = fit.spread.of(fit.weights_CN - fit.weights_CN[best], fit.seed_N)
    if not degrees:
        return difference_C, np.where(np.arange(len(nats_CD)) == best, 0.0, np.inf)
    groups = len(nats_CD)
    documents_C = _tukey(groups, max(len(tokens_D) - 1, 1)) * np.sqrt(document_C)
    return difference_C, np.hypot(documents_C, _tukey(groups, degrees) * np.sqrt(seed_C))


@lru_cache
def _tukey(groups: int, degrees: int) -> float:
    """How many standard errors the largest difference of equal groups exceeds on 5% of the boards."""
    if groups < 2:
        return 0.0
    return float(stats.studentized_range.ppf(CONFIDENCE, groups, degrees) / math.sqrt(2))
