import pytest
import torch

from tests.reference.loss import ar_nats, nats
from tests.trainer.networks import network
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.noise.reweighting import normalizer
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.forward import mask_tokens, sample_time
from trainer.objectives.masked_diffusion import MaskedDiffusion

LENGTH, VOCAB_SIZE = 16, 31


def phase_of(objective="bd3lm", **values):
    dotted = {"objective.name": objective, "data.length": LENGTH}
    return TrainConfig.from_dotted({**dotted, **{f"finetune.{k}": v for k, v in values.items()}}).finetune


def tokens(batch=6):
    return torch.randint(0, VOCAB_SIZE - 1, (batch, LENGTH), generator=torch.Generator().manual_seed(3))


def check_equal(model, fast, slow):
    """Loss to 1e-6, every parameter's gradient to 1e-5, relative."""
    assert fast.item() == pytest.approx(slow.item(), rel=1e-6)
    names = [name for name, _ in model.named_parameters()]
    ours = torch.autograd.grad(fast, list(model.parameters()))
    plain = torch.autograd.grad(slow, list(model.parameters()))
    for name, one, other in zip(names, ours, plain, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm(), name
        assert other.norm() > 0, name


CLIPPED = {"clip.low": 0.3, "clip.high": 0.8}
WEIGHTED = {"reweighting": {"name": "sigmoid", "k": 1.5, "normalize": True}, "schedule": {"name": "cosine"}}


@pytest.mark.parametrize(
    "values", [{}, {"clip.low": 0.3, "clip.high": 0.8}, WEIGHTED], ids=["plain", "clip", "weight"]
)
@pytest.mark.parametrize("block_size", [1, 2, 4, 8, 16])
def test_diffusion_loss_equals_the_plain_one(block_size, values):
    phase, x0 = phase_of(block_size=block_size, **values), tokens()
    model = network(length=LENGTH, vocab_size=VOCAB_SIZE, std=0.2)
    fast = BlockDiffusion().loss(model, x0, phase, 0.5, torch.Generator().manual_seed(0))

    generator = torch.Generator().manual_seed(0)
    u = sample_time(len(x0), LENGTH // block_size, antithetic=True, generator=generator, device="cpu")
    level = phase.clip.level(phase.schedule, u, 0.5)
    xt, masked = mask_tokens(x0, level.move_chance, VOCAB_SIZE - 1, generator)
    charge = level.loss_scale * phase.reweighting.weight(level)
    charge = charge / normalizer(phase.reweighting, phase.schedule, phase.clip, 0.5)
    weights = dict(model.named_parameters()) | dict(model.named_buffers())
    slow = nats(weights, 2, xt, x0, block_size, VOCAB_SIZE - 1) * charge.repeat_interleave(block_size, 1)

    assert torch.equal(fast.loss_BL > 0, masked)
    assert fast.scored_BL[:, 1:].all()
    assert not fast.scored_BL[:, 0].any()
    torch.testing.assert_close(fast.loss_BL, slow, rtol=1e-5, atol=1e-6)
    check_equal(model, fast.loss_BL.sum() / fast.scored_BL.sum(), slow.sum() / (len(x0) * (LENGTH - 1)))


def test_autoregressive_loss_equals_the_plain_one():
    objective, x0 = Autoregressive(), tokens()
    model = network(objective, length=LENGTH, vocab_size=VOCAB_SIZE, std=0.2)
    fast = objective.loss(model, x0, phase_of("ar"), 0.0, torch.Generator())
    weights = dict(model.named_parameters()) | dict(model.named_buffers())
    slow = ar_nats(weights, 2, x0, VOCAB_SIZE - 1)
    torch.testing.assert_close(fast.loss_BL, slow, rtol=1e-5, atol=1e-6)
    assert fast.scored_BL.sum() == len(x0) * (LENGTH - 1)
    check_equal(model, fast.loss_BL.sum() / fast.scored_BL.sum(), slow.sum() / (len(x0) * (LENGTH - 1)))


def test_one_block_is_mdlm():
    model, x0 = network(length=LENGTH, vocab_size=VOCAB_SIZE), tokens()
    one = BlockDiffusion().loss(model, x0, phase_of(block_size=LENGTH), 0.0, torch.Generator().manual_seed(0))
    other = MaskedDiffusion().loss(model, x0, phase_of("mdlm"), 0.0, torch.Generator().manual_seed(0))
    assert torch.equal(one.loss_BL, other.loss_BL)
    bounds = [o.bound(model, x0, LENGTH, 2, list(range(6))) for o in (BlockDiffusion(), MaskedDiffusion())]
    assert torch.equal(*bounds)


def test_a_batch_without_a_masked_token_has_a_gradient_of_zero():
    model, x0 = network(length=LENGTH, vocab_size=VOCAB_SIZE), tokens(batch=1)
    phase = phase_of(block_size=16, **{"clip.low": 0.0, "clip.high": 0.0})
    loss = BlockDiffusion().loss(model, x0, phase, 0.0, torch.Generator().manual_seed(0))
    assert loss.loss_BL.sum() == 0
    loss.loss_BL.sum().backward()
    assert all(torch.equal(p.grad, torch.zeros_like(p)) for p in model.parameters())


def test_simple_is_sigmoid_0_under_loglinear():
    model, x0 = network(length=LENGTH, vocab_size=VOCAB_SIZE), tokens()
    losses = [
        BlockDiffusion().loss(
            model, x0, phase_of(block_size=4, reweighting=weight), 0.0, torch.Generator().manual_seed(0)
        )
        for weight in ({"name": "simple"}, {"name": "sigmoid", "k": 0.0})
    ]
    torch.testing.assert_close(losses[0].loss_BL, losses[1].loss_BL, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"objective.name": "ar", "finetune.block_size": 4}, "finetune.block_size"),
        ({"objective.name": "ar", "finetune.schedule.name": "cosine"}, "finetune.schedule"),
        ({"objective.name": "ar", "pretrain.clip.low": 0.2}, "pretrain.clip"),
        ({"objective.name": "ar", "finetune.reweighting.name": "edm"}, "finetune.reweighting"),
        ({"objective.name": "mdlm", "finetune.block_size": 8}, "finetune.block_size"),
        ({"objective.name": "bd3lm", "finetune.block_size": 5}, "finetune.block_size"),
    ],
)
def test_a_phase_that_makes_no_sense_is_refused(values, key):
    with pytest.raises(InvalidConfig) as error:
        TrainConfig.from_dotted({"data.length": LENGTH, **values})
    assert [problem.key for problem in error.value.problems] == [key]


@pytest.mark.parametrize(
    ("objective", "block_size", "bound", "draws"),
    [
        (Autoregressive(), 1, "exact", 1),
        (BlockDiffusion(), 1, "exact", 1),
        (BlockDiffusion(), 4, "enumerated", 15),
        (BlockDiffusion(), 8, "sampled", 6),
        (MaskedDiffusion(), 64, "sampled", 6),
    ],
)
def test_passport_says_how_the_bound_was_found(objective, block_size, bound, draws):
    passport = objective.passport(block_size, draws=6)
    assert (passport["bound"], passport["draws"]) == (bound, draws)
