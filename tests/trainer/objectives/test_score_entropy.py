"""SEDD: its loss as the paper writes it, its bound by brute force, and what it refuses."""

from itertools import product
from math import log

import pytest
import torch
from numpy.polynomial.legendre import leggauss

from tests.reference.loss import score_entropy_nats
from tests.trainer.networks import network
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.network.attention import noised
from trainer.objectives.forward import mask_tokens, sample_time
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.objectives.score_entropy import ScoreEntropy
from trainer.objectives.score_entropy_loss import score_entropy

LENGTH, VOCAB_SIZE = 4, 5
MASK = VOCAB_SIZE - 1


def toy(std=0.15):
    """Four letters and the mask, in float64; its scores do not sum to 1, but nearly."""
    return network(ScoreEntropy(), length=LENGTH, vocab_size=VOCAB_SIZE, width=8, layers=2, std=std).double()


def weights_of(model):
    return dict(model.named_parameters()) | dict(model.named_buffers())


def tokens(batch=6, length=LENGTH, words=MASK):
    return torch.randint(0, words, (batch, length), generator=torch.Generator().manual_seed(3))


def brute_force(model, x0_BL):
    """nats_BL: every mask of three tokens, and the integral over p by 3 * 12 points of Gauss-Legendre."""
    nodes, weights = leggauss(12)
    total_BL = torch.zeros(x0_BL.shape, dtype=torch.float64)
    for low, high in ((0.0, 0.5), (0.5, 0.999), (0.999, 1.0)):  # sigma is capped from 0.999 on
        for node, weight in zip(nodes, weights, strict=True):
            p = low + (high - low) * (node + 1) / 2
            for chosen in list(product((False, True), repeat=LENGTH - 1))[1:]:  # the first masks nothing
                masked_BL = torch.tensor([(False, *chosen)]).expand(x0_BL.shape)
                xt_BL = torch.where(masked_BL, MASK, x0_BL)
                p_B = torch.full((len(x0_BL),), p, dtype=torch.float64)
                nats_BL = score_entropy_nats(weights_of(model), 2, xt_BL, x0_BL, p_B, MASK)
                chance = p ** sum(chosen) * (1 - p) ** (LENGTH - 1 - sum(chosen))
                total_BL += (high - low) / 2 * weight * chance / p * nats_BL
    return total_BL


@pytest.fixture(scope="module")
def every_string():
    strings = torch.tensor(list(product(range(MASK), repeat=LENGTH - 1)))
    return torch.cat([torch.zeros(len(strings), 1, dtype=torch.long), strings], dim=1)


@pytest.fixture(scope="module")
def exact(every_string):
    with torch.no_grad():
        return brute_force(toy(), every_string)


def test_the_bound_is_the_integral_over_p(exact, every_string):
    draws = 4000
    model = toy()
    for row in (0, 27, 63):
        seeds = list(range(10))
        found = ScoreEntropy().bound(model, every_string[row].expand(10, -1), LENGTH, draws // 10, seeds)
        assert found.dtype == torch.float64
        assert not found[:, 0].any()
        error = found.std(dim=0) / 10**0.5
        assert ((found.mean(dim=0) - exact[row]).abs() <= 4.5 * error + 1e-12).all()


def test_no_more_than_all_of_the_probability_is_given_out(exact):
    assert 0.5 < (-exact.sum(dim=1)).exp().sum() < 1 - 1e-5


def test_a_sequence_has_its_own_masks():
    model, x0 = toy(), tokens()
    together = ScoreEntropy().bound(model, x0, LENGTH, 3, list(range(6)))
    alone = ScoreEntropy().bound(model, x0[4:5], LENGTH, 3, [4])
    torch.testing.assert_close(together[4:5], alone)
    assert not torch.allclose(alone, ScoreEntropy().bound(model, x0[4:5], LENGTH, 3, [5]))


def test_the_network_is_told_the_noise():
    model, x0 = toy(), tokens(batch=2)
    layout = noised(LENGTH, LENGTH)
    of = lambda *sigma: model.hidden(x0, layout, sigma_B=torch.tensor(sigma))  # noqa: E731
    torch.testing.assert_close(of(0.0, 0.0), model.hidden(x0, layout))
    assert torch.equal(of(0.3, 2.0)[0], of(0.3, 1.0)[0])
    assert not torch.allclose(of(0.3, 2.0)[1], of(0.3, 1.0)[1])
    fixed = [p for name, p in model.named_parameters() if name.startswith("sigma_map")]
    loss = score_entropy(
        model, x0, torch.full_like(x0, MASK), torch.ones_like(x0).bool(), torch.tensor([0.2, 0.9])
    )
    assert all(grad.norm() > 0 for grad in torch.autograd.grad(loss.sum(), fixed))


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"schedule.name": "cosine"},
        {"schedule.name": "gaussian", "clip.low": 0.2},
        {"schedule.name": "bimodal_gaussian"},
        {"clip.low": 1.0},
    ],
    ids=str,
)
def test_the_loss_equals_the_plain_one(values):
    length, vocab_size = 16, 31
    phase = TrainConfig.from_dotted(
        {"objective.name": "sedd", "data.length": length, **{f"finetune.{k}": v for k, v in values.items()}}
    ).finetune
    model = network(ScoreEntropy(), length=length, vocab_size=vocab_size, std=0.2)
    x0 = tokens(6, length, vocab_size - 1)
    fast = ScoreEntropy().loss(model, x0, phase, 0.5, torch.Generator().manual_seed(0))

    generator = torch.Generator().manual_seed(0)
    u = sample_time(len(x0), 1, antithetic=True, generator=generator, device="cpu")
    level = phase.clip.level(phase.schedule, u, 0.5)
    xt, masked = mask_tokens(x0, level.move_chance, vocab_size - 1, generator)
    nats = score_entropy_nats(weights_of(model), 2, xt, x0, level.move_chance[:, 0], vocab_size - 1)
    slow = nats * level.loss_scale

    assert torch.equal(fast.loss_BL != 0, masked)
    assert fast.scored_BL.sum() == 6 * (length - 1)
    torch.testing.assert_close(fast.loss_BL, slow, rtol=1e-4, atol=1e-5)
    ours = torch.autograd.grad(fast.loss_BL.sum(), list(model.parameters()))
    plain = torch.autograd.grad(slow.sum(), list(model.parameters()))
    for one, other in zip(ours, plain, strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()
        assert other.norm() > 0


def test_scores_that_sum_to_one_cost_what_mdlm_costs():
    """A fresh network is uniform: log(V - 1) for every token, whatever the noise."""
    model = network(ScoreEntropy(), length=LENGTH, vocab_size=VOCAB_SIZE, std=0.0).double()
    x0 = tokens()
    for objective in (ScoreEntropy(), MaskedDiffusion()):
        nats = objective.bound(model, x0, LENGTH, 3, list(range(6))).sum(dim=1)
        torch.testing.assert_close(nats, torch.full_like(nats, (LENGTH - 1) * log(4)))


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"finetune.block_size": 8}, "finetune.block_size"),
        ({"finetune.reweighting.name": "edm"}, "finetune.reweighting"),
        ({"pretrain.reweighting.name": "iddpm"}, "pretrain.reweighting"),
    ],
)
def test_a_phase_that_makes_no_sense_is_refused(values, key):
    with pytest.raises(InvalidConfig) as error:
        TrainConfig.from_dotted({"objective.name": "sedd", "data.length": 16, **values})
    assert [problem.key for problem in error.value.problems] == [key]


def test_passport():
    assert ScoreEntropy().passport(64, 6) == {"bound": "sampled", "estimator": "stratified p", "draws": 6}
    run = TrainConfig.from_dotted({"objective.name": "sedd", "data.length": 32})
    assert (run.pretrain.block_size, run.finetune.block_size) == (32, 32)
