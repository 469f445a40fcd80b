"""The contract with Optuna's Gaussian process. Where one fails: see test_optuna_private.py."""

from typing import Any

import numpy as np
import pytest
import torch
from optuna._gp import acqf, gp, optim_mixed, prior, search_space, thread_limiting
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from sweeper.strategies import optuna_private_gp as private
from sweeper.strategies.optuna_private import VERSION
from tests.sweeper.strategies.test_optuna_private import parameters

DISTRIBUTIONS = {
    "x": FloatDistribution(1e-4, 1.0, log=True),
    "n": IntDistribution(1, 8, log=True),
    "c": CategoricalDistribution(["a", "b", "c"]),
}


def itself(x: Any) -> Any:
    return x


def observations(count: int) -> tuple[Any, Any]:
    chance = np.random.RandomState(0)
    x_ND = private.space_of(DISTRIBUTIONS).sample_normalized_params(count, chance)
    value_N = -((x_ND[:, 0] - 0.3) ** 2) + 0.1 * x_ND[:, 2] + chance.normal(size=count) / 100
    return x_ND, (value_N - value_N.mean()) / value_N.std()


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (
            gp.GPRegressor.__init__,
            "self is_categorical X_train y_train inverse_squared_lengthscales kernel_scale noise_var",
        ),
        (gp.GPRegressor.kernel, "self X1 X2"),
        (gp.GPRegressor._fit_kernel_params, "self log_prior minimum_noise deterministic_objective gtol"),
        (gp.GPRegressor._cache_matrix, "self"),
        (gp.GPRegressor.append_running_data, "self X_running y_running"),
        (gp.GPRegressor.posterior, "self x joint"),
        (acqf.LogEI.__init__, "self gpr search_space threshold stabilizing_noise"),
        (
            acqf.LogEHVI.__init__,
            "self gpr_list search_space Y_train n_qmc_samples qmc_seed normalized_params_of_running_trials "
            "stabilizing_noise",
        ),
        (acqf.BaseAcquisitionFunc.eval_acqf_no_grad, "self x"),
        (optim_mixed.local_search_mixed_batched, "acqf xs0 tol max_iter"),
        (prior.default_log_prior, "gpr"),
        (search_space.SearchSpace.get_normalized_params, "self trials trial_params"),
        (search_space.SearchSpace.get_unnormalized_param, "self normalized_param"),
        (search_space.SearchSpace.sample_normalized_params, "self n rng"),
        (thread_limiting.limit_threads_in_optimization, ""),
    ],
)
def test_what_is_called_takes_what_it_took(function: Any, names: str) -> None:
    said = f"look at {function.__qualname__} in optuna/_gp, read in Optuna {VERSION}"
    assert parameters(function) == names.split(), said


def test_without_known_noise_it_is_optunas_process_to_the_bit() -> None:
    said = "look at GPRegressor and fit_kernel_params in optuna/_gp/gp.py"
    space = private.space_of(DISTRIBUTIONS)
    x_ND, value_N = observations(20)
    ours = private.fitted(space, x_ND, value_N, np.zeros(20), itself)
    theirs = gp.fit_kernel_params(
        x_ND,
        value_N,
        space.is_categorical,
        prior.default_log_prior,
        prior.DEFAULT_MINIMUM_NOISE_VAR,
        deterministic_objective=False,
    )
    at = torch.from_numpy(observations(64)[0])
    for mine, its in zip(ours.posterior(at), theirs.posterior(at), strict=True):
        assert torch.equal(mine, its), said


def test_known_noise_stands_on_the_diagonal_of_the_observations_alone() -> None:
    said = "look at GPRegressor._cache_matrix and posterior: is kernel() the observations' covariance?"
    x_ND, value_N = observations(8)
    variance_N = np.linspace(0, 2, 8)
    space = private.space_of(DISTRIBUTIONS)
    process = private.KnownNoise(space, x_ND, value_N, variance_N, itself).leave()
    at = torch.from_numpy(observations(32)[0])
    plain = gp.GPRegressor.kernel(process)
    covariance = plain + torch.diag(torch.from_numpy(variance_N) + process.noise_var)
    cross = process.kernel(at)
    mean = cross @ torch.linalg.solve(covariance, torch.from_numpy(value_N))
    spread = process.kernel_scale - (cross * torch.linalg.solve(covariance, cross.T).T).sum(-1)
    found = process.posterior(at)
    torch.testing.assert_close(found[0], mean, msg=said)
    torch.testing.assert_close(found[1], spread, msg=said)


def test_a_kernel_of_the_observations_is_asked_for_without_arguments() -> None:
    said = "look at GPRegressor.marginal_log_likelihood: known noise has no part in the fit"
    x_ND, value_N = observations(20)
    space = private.space_of(DISTRIBUTIONS)
    fits = [
        private.fitted(space, x_ND, value_N, np.full(20, noise), itself).kernel_scale for noise in (0.0, 1.0)
    ]
    assert fits[0] != fits[1], said
