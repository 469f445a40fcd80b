"""Optuna's Gaussian process, which Optuna keeps for itself, with a known noise for every observation.

Read in the sources of the version that optuna_private.py names, and held by the same tests. It loads torch:
it is imported where a process is fitted, not before. Points are normalised as SearchSpace does it; values are
about 0 with a spread of about 1, and high is good. Shapes: N observations, D dimensions, M metrics, B points.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from optuna._gp.acqf import BaseAcquisitionFunc, LogEHVI, LogEI
from optuna._gp.gp import GPRegressor
from optuna._gp.optim_mixed import local_search_mixed_batched
from optuna._gp.prior import DEFAULT_MINIMUM_NOISE_VAR, default_log_prior
from optuna._gp.search_space import SearchSpace
from optuna._gp.thread_limiting import limit_threads_in_optimization
from optuna.distributions import BaseDistribution

Array = NDArray[np.float64]

# As in Optuna.
GRADIENT = 0.01  # at which a fit ends
DRAWS = 128  # that an expected hypervolume is the mean of
SEARCHES = 9  # that begin there

one_thread = limit_threads_in_optimization  # the driver shares its cores with what it trains


def space_of(distributions: Mapping[str, BaseDistribution]) -> SearchSpace:
    return SearchSpace(dict(distributions))


def normalised(space: SearchSpace, given: Sequence[Mapping[str, Any]]) -> Array:
    """x_ND of the values of every dimension."""
    counted: list[Any] = [None] * len(given)  # trials, of which no more than their number is asked
    return space.get_normalized_params(counted, [dict(each) for each in given])


class KnownNoise(GPRegressor):
    """A noise variance for every observation, and one for all that is fitted.

    canonical: makes points of one configuration one point, before distances are taken.
    """

    def __init__(
        self,
        space: SearchSpace,
        x_ND: Array,
        value_N: Array,
        variance_N: Array,
        canonical: Callable[[Any], Any],
    ):
        one = torch.ones((), dtype=torch.float64)
        self._variance_N, self._canonical = torch.from_numpy(variance_N), canonical
        super().__init__(
            is_categorical=torch.from_numpy(space.is_categorical),
            X_train=torch.from_numpy(canonical(x_ND)),
            y_train=torch.from_numpy(value_N),
            inverse_squared_lengthscales=one.repeat(space.dim),
            kernel_scale=one.clone(),
            noise_var=one.clone(),
        )

    def kernel(self, X1: torch.Tensor | None = None, X2: torch.Tensor | None = None) -> torch.Tensor:
        """Of the observations, where nothing is given."""
        if X1 is None:
            return super().kernel() + torch.diag(self._variance_N)
        return super().kernel(self._canonical(X1), X2)

    def fit(self) -> "KnownNoise":
        """Raises RuntimeError where no maximum is found."""
        self._fit_kernel_params(default_log_prior, DEFAULT_MINIMUM_NOISE_VAR, False, GRADIENT)
        return self

    def leave(self) -> "KnownNoise":
        """Its parameters as they are."""
        self._cache_matrix()
        return self

    def believe(self, x_BD: Array) -> None:
        """As if what is expected there had been observed: 'Kriging believer', Ginsbourger et al. 2010."""
        points = torch.from_numpy(self._canonical(x_BD))
        self.append_running_data(points, self.posterior(points)[0])

    def expected(self) -> Array:
        """At the observations, the noise taken out."""
        return self.posterior(self._X_train)[0].numpy()


def fitted(
    space: SearchSpace, x_ND: Array, value_N: Array, variance_N: Array, canonical: Callable[[Any], Any]
) -> KnownNoise:
    try:
        return KnownNoise(space, x_ND, value_N, variance_N, canonical).fit()
    except RuntimeError:
        return KnownNoise(space, x_ND, value_N, variance_N, canonical).leave()


def improvement(space: SearchSpace, processes: Sequence[KnownNoise], seed: int) -> BaseAcquisitionFunc:
    """Of one process the logarithm of the expected improvement, of several that of the hypervolume.

    On what they expect at the observations: the best of noisy values is the luckiest.
    """
    expected_NM = np.stack([each.expected() for each in processes], axis=-1)
    if len(processes) == 1:
        return LogEI(processes[0], space, float(expected_NM.max()))
    return LogEHVI(list(processes), space, torch.from_numpy(expected_NM), DRAWS, seed)


def promising(gain: BaseAcquisitionFunc, known_BD: Array, even: int, random: np.random.RandomState) -> Array:
    """Points, the best first: those of an even spread of so many, and those to which a search leads.

    It begins at the best of the spread, at others by lot, each with its gain for a chance, and at those
    known."""
    even_BD = gain.search_space.sample_normalized_params(even, random)
    gain_B = gain.eval_acqf_no_grad(even_BD)
    lot_B = gain_B + random.gumbel(size=even)  # its order is that of drawing by exp(gain), none twice
    lot_B[gain_B.argmax()] = np.inf
    starts_BD = np.concatenate([even_BD[np.argsort(-lot_B, kind="stable")[:SEARCHES]], known_BD])
    ends_BD, reached_B = local_search_mixed_batched(gain, starts_BD)
    order = np.argsort(-np.concatenate([reached_B, gain_B]), kind="stable")
    return np.concatenate([ends_BD, even_BD])[order]
