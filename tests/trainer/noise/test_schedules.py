import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy.stats import truncnorm

from tests.reference import schedules as reference
from trainer.noise.clips import Clip
from trainer.noise.schedules import (
    SCHEDULES,
    AnySchedule,
    BimodalGaussian,
    Cosine,
    CosineMd4,
    Gaussian,
    Logarithmic,
    LogLinear,
    NoiseLevel,
    NoiseSchedule,
    Poly,
    Square,
    SquareRoot,
)
from trainer.values import kind_of

CASES: list[NoiseSchedule] = [
    *(schedule() for schedule in SCHEDULES),
    Cosine(eps=0),
    Gaussian(mu=0.05, sigma=0.02),
    Gaussian(mu=0, sigma=0.3),
    Gaussian(mu=1, sigma=1),
    BimodalGaussian(mu1=0.3, m_end=0.6, w=0.25),
]
every_schedule = pytest.mark.parametrize("schedule", CASES, ids=str)

# The times that training draws, and the halves of float32's step around them.
DRAWN = np.concatenate(
    [np.linspace(1e-3, 1, 1001), 1 - np.logspace(-9, -2, 50), 1e-3 + np.logspace(-9, -2, 50)]
)


def interior(schedule: NoiseSchedule) -> np.ndarray:
    """Times inside each branch, where no clamp of the tails is in force."""
    return np.concatenate(
        [low + (high - low) * np.linspace(0.02, 0.98, 41) for low, high in schedule.branches]
    )


@every_schedule
@pytest.mark.parametrize("progress", [0.0, 0.7])
def test_loss_scale_is_the_derivative_of_log_p(schedule, progress):
    t = torch.from_numpy(interior(schedule)).requires_grad_()
    level = schedule(t, progress)
    (slope,) = torch.autograd.grad(level.move_chance.sum(), t)
    torch.testing.assert_close(level.loss_scale, slope / level.move_chance, rtol=1e-9, atol=0)


@every_schedule
@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_equals_the_slow_reference(schedule, progress):
    for t in interior(schedule).tolist():
        level = schedule(t, progress)
        try:
            expected = reference.move_chance(schedule, t, progress)
        except NotImplementedError:
            pytest.skip("tests/reference/schedules.py does not have it")
        assert level.move_chance == pytest.approx(expected, rel=1e-7)
        assert level.loss_scale == pytest.approx(reference.loss_scale(schedule, t, progress), rel=1e-4)


@every_schedule
def test_shape_and_type_are_those_of_t(schedule):
    t_BN = torch.linspace(0.01, 1, 12).view(3, 4)
    for level in (schedule(t_BN), schedule(t_BN.numpy()), Clip(low=1).level(schedule, t_BN)):
        for each in (*level, level.log_snr):
            assert each.shape == (3, 4)
            assert str(each.dtype).endswith("float32")


def test_float32_times_are_computed_in_float64():
    t = torch.tensor([1e-3, 0.3, 0.999], dtype=torch.float32)
    fine = Gaussian(mu=0.5, sigma=0.1)(t.double())
    coarse = Gaussian(mu=0.5, sigma=0.1)(t)
    assert torch.equal(coarse.loss_scale, fine.loss_scale.float())


@pytest.mark.parametrize(("mu", "sigma"), [(0.5, 0.1), (0.05, 0.02), (0.9, 0.3), (0.0, 1.0), (1.0, 0.05)])
def test_gaussian_is_the_truncated_normal(mu, sigma):
    t = np.linspace(0.001, 0.999, 99)
    truth = truncnorm(-mu / sigma, (1 - mu) / sigma, loc=mu, scale=sigma)
    np.testing.assert_allclose(Gaussian(mu=mu, sigma=sigma)(t).move_chance, truth.ppf(t), rtol=1e-6)


def test_gaussian_starts_where_the_page_says():
    assert Gaussian(mu=0.5, sigma=0.1)(1e-3).move_chance == pytest.approx(0.19, abs=0.005)


def test_gaussian_tails_are_clamped():
    gaussian = Gaussian(mu=0.5, sigma=0.1)
    for of in (np.asarray, torch.tensor):
        level = gaussian(of([1e-12, 1 - 1e-12]))
        np.testing.assert_allclose(level.move_chance, [0.5 - 0.1 * 4.753424, 0.5 + 0.1 * 4.753424], rtol=1e-5)
    assert Gaussian(mu=0, sigma=0.001)(np.array([1e-9])).move_chance >= 1e-5
    assert Gaussian(mu=0.4, sigma=0.1, u_eps=0.1)(1e-9).move_chance == pytest.approx(0.4 - 0.1 * 1.2815516)


def test_a_very_wide_gaussian_is_loglinear():
    t = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(Gaussian(mu=0.5, sigma=10)(t).move_chance, t, atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(
    mu=st.floats(0, 1), sigma=st.floats(1e-3, 10), t=st.floats(1e-3, 1), w=st.floats(0.01, 0.99),
    weight=st.sampled_from(["branch", "mixture"]), progress=st.floats(0, 1),
)  # fmt: skip
def test_gaussians_are_finite_for_every_setting(mu, sigma, t, w, weight, progress):
    bimodal = BimodalGaussian(w=w, mu1=mu, sigma1=sigma, sigma2=sigma, m_end=mu, weight=weight)
    for schedule in (Gaussian(mu=mu, sigma=sigma), bimodal):
        level = schedule(t, progress)
        assert 0 < level.move_chance <= 1
        assert 0 < level.loss_scale < math.inf
        assert math.isfinite(level.log_snr)


def test_mu2_moves_with_training():
    schedule = BimodalGaussian()
    assert schedule.mu2(0) == 0.4
    assert schedule.mu2(1) == pytest.approx(0.85 - 0.45 * math.exp(-3))
    middle_of_second = 0.8
    p = [schedule(middle_of_second, progress).move_chance for progress in (0, 0.2, 1)]
    assert p == pytest.approx([schedule.mu2(progress) for progress in (0, 0.2, 1)], abs=0.003)
    assert schedule(0.3, 0).move_chance == schedule(0.3, 1).move_chance


def test_bimodal_falls_where_the_second_mode_begins():
    schedule = BimodalGaussian()
    assert schedule(0.6 - 1e-4).move_chance > schedule(0.6 + 1e-4).move_chance


# A cross-entropy that depends on the masking rate, and its integral over (0, 1): the NELBO per token.
def cross_entropy(p: np.ndarray) -> np.ndarray:
    return 2 + 3 * p**2


NELBO = 3.0


def integral(schedule: NoiseSchedule, of, progress: float = 0.0, first: float = 0.0) -> float:
    """The integral of of(level) over t from `first` to 1: panels that halve towards both ends of a branch."""
    x, dx = np.polynomial.legendre.leggauss(16)
    edges = np.concatenate([0.5 ** np.arange(50, 0, -1), 1 - 0.5 ** np.arange(2, 50)])
    width = np.diff(edges)[:, None]
    nodes, weights = edges[:-1, None] + width * (x + 1) / 2, width / 2 * dx
    ends = [(max(low, first), high) for low, high in schedule.branches]
    return sum(
        (high - low) * float(np.sum(weights * of(schedule(low + (high - low) * nodes, progress))))
        for low, high in ends
    )


def expectation(schedule: NoiseSchedule, progress: float = 0.0) -> float:
    """E_t[loss_scale * p * cross_entropy(p)]: what training estimates, per token."""
    return integral(schedule, lambda l: l.loss_scale * l.move_chance * cross_entropy(l.move_chance), progress)


@pytest.mark.parametrize(
    "schedule",
    [LogLinear(), Square(), SquareRoot(), Logarithmic(), Cosine(eps=0), CosineMd4(), Gaussian(sigma=1)],
    ids=str,
)
def test_a_schedule_that_covers_0_1_is_unbiased(schedule):
    assert expectation(schedule) == pytest.approx(NELBO, rel=1e-4)


@settings(deadline=None, max_examples=20)
@given(n=st.floats(0.3, 6))
def test_so_is_every_power_of_time(n):
    assert expectation(Poly(n=n)) == pytest.approx(NELBO, rel=1e-3)


@pytest.mark.parametrize("coin", ["time", "own"])
@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_mixture_is_unbiased_where_both_modes_cover(progress, coin):
    wide = BimodalGaussian(weight="mixture", coin=coin, mu1=0.3, sigma1=0.5, sigma2=1.0)
    assert expectation(wide, progress) == pytest.approx(NELBO, rel=1e-4)


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
def test_branch_counts_the_branches_that_cover(progress):
    wide = {"mu1": 0.3, "sigma1": 0.5, "sigma2": 1.0}
    assert expectation(BimodalGaussian(weight="branch", **wide), progress) == pytest.approx(
        2 * NELBO, rel=1e-4
    )


def test_branch_at_the_reports_constants_is_no_bound_and_drifts():
    """Its clamped modes cover too little: 0.7 to 0.9 of the NELBO, and not the same all along."""
    values = [expectation(BimodalGaussian(), progress) / NELBO for progress in (0.0, 0.5, 1.0)]
    assert all(0.7 < value < 0.9 for value in values)
    assert max(values) - min(values) > 0.03


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (LogLinear(), 6.9),
        (Gaussian(mu=0.5, sigma=0.1, u_eps=1e-12), 1.4e3),  # the truncated normal itself
        (Gaussian(mu=0.5, sigma=0.1), 0.77e3),  # with its upper tail clamped
    ],
)
def test_narrow_gaussian_weights_explode(schedule, expected):
    """E[loss_scale^2 p], the second moment of a token's weight, from t = 1e-3 on."""
    moment = integral(schedule, lambda l: l.loss_scale**2 * l.move_chance, first=1e-3)
    assert moment == pytest.approx(expected, rel=0.04)


def test_log_snr():
    level = NoiseLevel(np.array([0.5, 0.9, 1.0]), np.ones(3))
    np.testing.assert_allclose(level.log_snr, [0, -math.log(9), -math.log(1e9)], atol=1e-6)
    assert NoiseLevel(1.0, 1.0).log_snr == pytest.approx(-20.723, abs=1e-3)
    assert torch.isfinite(NoiseLevel(torch.ones(1), torch.ones(1)).log_snr).all()


def test_the_union_reads_every_name():
    adapter = TypeAdapter(AnySchedule)
    assert [type(adapter.validate_python({"name": kind_of(each)})) for each in SCHEDULES] == list(SCHEDULES)
    for schedule in CASES:
        assert adapter.validate_python(schedule.model_dump()) == schedule
        assert hash(schedule) == hash(schedule.model_copy())


def test_no_torch_for_numpy():
    code = (
        "import sys, numpy as np; from trainer.noise.clips import Clip;"
        "from trainer.noise.schedules import SCHEDULES;"
        "import trainer.config.train_config;"
        "from trainer.noise.reweighting import REWEIGHTINGS;"
        "[w().weight(Clip().level(s(), np.linspace(0, 1, 5))) for s in SCHEDULES for w in REWEIGHTINGS];"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
