"""A mask and its complement: every token once, each view a draw of the objective, one pass equal to two.

B batch, L length, N blocks.
"""

import numpy as np
import pytest
import torch

from tests.trainer.networks import network
from tests.trainer.objectives.test_times import mean_by_enumeration, nats_of
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.complement import complement
from trainer.objectives.diffusion_loss import diffusion_loss
from trainer.objectives.forward import noise
from trainer.objectives.masked_diffusion import MaskedDiffusion

LENGTH, SIZE, MASK = 4, 2, 9
BATCH = 200_000


def config_of(length=LENGTH, **finetune) -> TrainConfig:
    values = {"block_size": SIZE, "complementary": True, **finetune}
    return TrainConfig.from_dotted({"data.length": length, "finetune": values})


def views_of(phase, batch=BATCH):
    x0_BL = torch.zeros(batch, LENGTH, dtype=torch.long)
    first = noise(x0_BL, phase, 0.0, MASK, torch.Generator().manual_seed(3))
    return first, complement(x0_BL, first, phase, 0.0, MASK)


def test_every_token_but_bos_is_masked_in_one_view_at_its_rate():
    first, second = views_of(config_of().finetune, 64)
    assert torch.equal(
        (first.masked_BL ^ second.masked_BL)[:, 1:], torch.ones(64, LENGTH - 1, dtype=torch.bool)
    )
    assert not (first.masked_BL | second.masked_BL)[:, 0].any()
    for view in (first, second):
        assert torch.equal(view.xt_BL == MASK, view.masked_BL)
    torch.testing.assert_close(second.move_chance_BN, 1 - first.move_chance_BN)


@pytest.mark.parametrize("per", ["block", "sequence"])
@pytest.mark.parametrize("clip", [(0.2, 0.8), (0.05, 0.95)])
def test_each_view_has_the_mean_of_the_objective(clip, per):
    """By enumeration of all masks; charged for p, the second view would be far from it."""
    low, high = clip
    phase = config_of(clip={"low": low, "high": high}, time={"per": per}).finetune
    expected = mean_by_enumeration(phase)
    first, second = views_of(phase)
    for view in (first, second):
        loss_B = (view.charge_BN.repeat_interleave(SIZE, dim=1).double() * nats_of(view.masked_BL)).sum(dim=1)
        assert abs(loss_B.mean() - expected) < 4 * loss_B.std() / BATCH**0.5
    wrong_B = (first.charge_BN.repeat_interleave(SIZE, dim=1) * nats_of(second.masked_BL)).sum(dim=1)
    assert abs(wrong_B.mean() - expected) > 20 * wrong_B.std() / BATCH**0.5


WEIGHTS = {
    "sigmoid": lambda p: p,
    "iddpm": lambda p: 2 * np.sqrt(p * (1 - p)),
    "fm": lambda p: np.sqrt(p / (1 - p)),
}


@pytest.mark.parametrize("weight", WEIGHTS)
def test_a_weight_is_that_of_the_views_own_rate(weight):
    """w(p) / p, over one number for both views."""
    phase = config_of(reweighting={"name": weight, "normalize": True}).finetune
    views = views_of(phase, 512)
    plain, _ = views_of(phase.model_copy(update={"complementary": False}), 512)
    assert torch.equal(views[0].charge_BN, plain.charge_BN), "the first view is what it was"
    divisors = []
    for view in views:
        p, charge = view.move_chance_BN.double().numpy(), view.charge_BN.double().numpy()
        inside = (p > 0.01) & (p < 0.99)
        divisors.append((WEIGHTS[weight](p) / p / charge)[inside])
    np.testing.assert_allclose(np.concatenate(divisors), divisors[0][0], rtol=1e-4)


def test_of_rates_below_the_first_time_nothing_is_charged():
    _, second = views_of(config_of().finetune)
    least = second.move_chance_BN < 1e-3
    assert least.any()
    assert (second.charge_BN[least] == 0).all()
    assert second.charge_BN.isfinite().all()


@pytest.mark.parametrize("kind", [BlockDiffusion, MaskedDiffusion])
def test_one_pass_is_the_mean_of_two(kind):
    objective, model = kind(), network(kind(), length=8).double()
    phase = config_of(8, block_size=8 if kind is MaskedDiffusion else 2, ar_weight=0.0).finetune
    x0_BL = torch.randint(0, 10, (3, 8), generator=torch.Generator().manual_seed(1))
    drawn = objective.draw(model, x0_BL, phase, 0.5, torch.Generator().manual_seed(2))
    found = objective.drawn_loss(model, x0_BL, drawn, phase)
    views = [
        diffusion_loss(model, x0_BL, xt, masked, charge, block_size=phase.block_size)
        for xt, masked, _, charge in (drawn[:4], drawn[4:])
    ]
    expected_BL = sum(view.loss_BL for view in views) / 2
    torch.testing.assert_close(found.loss_BL, expected_BL)
    assert torch.equal(found.scored_BL, views[0].scored_BL)
    weights = list(model.parameters())
    for one, other in zip(
        torch.autograd.grad(found.loss_BL.sum(), weights),
        torch.autograd.grad(expected_BL.sum(), weights),
        strict=True,
    ):
        torch.testing.assert_close(one, other)
    halves = objective.losses(model, x0_BL, phase, 0.5, torch.Generator().manual_seed(2), 3)
    torch.testing.assert_close(torch.cat([each.loss_BL for _, each in halves]), found.loss_BL)


@pytest.mark.parametrize(
    "finetune",
    [
        {"schedule": {"name": "cosine"}},
        {"clip": {"low": 0.3, "high": 0.8}},
        {"clip": {"name": "auto"}},
        {"masking": {"name": "frequency"}},
        {"time": {"name": "bell"}},
        {"time": {"per": "token"}},
    ],
    ids=str,
)
def test_where_a_complement_is_another_objective_it_is_refused(finetune):
    with pytest.raises(InvalidConfig) as caught:
        config_of(**finetune)
    assert [problem.key for problem in caught.value.problems] == ["finetune.complementary"]


@pytest.mark.parametrize(("name", "size"), [("sedd", 4), ("ar", 1)])
def test_it_is_for_objectives_of_masked_tokens(name, size):
    values = {
        "data.length": 4,
        "objective.name": name,
        "finetune": {"block_size": size, "complementary": True},
    }
    with pytest.raises(InvalidConfig, match=r"finetune\.complementary"):
        TrainConfig.from_dotted(values)
