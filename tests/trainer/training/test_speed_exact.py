"""What the trainer leaves out, folds or cuts into pieces changes no loss and no gradient.

The yardstick is a step as the public code writes it (tests/reference/step.py), which benchmarks.step times.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reference.step import Step
from tests.trainer.networks import network, randomised
from trainer.config.train_config import TrainConfig
from trainer.network import attention
from trainer.network.attention import Layout, block_causal, dense, noised, tiled
from trainer.network.cross_entropy import CHUNK, linear_cross_entropy
from trainer.network.model import Shape
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.forward import corrupt, sample_time
from trainer.randomness import seed_of
from trainer.training.learner import Learner, learning_rate
from trainer.training.learner import Step as StepOfRun

VOCAB_SIZE, WIDTH, HEADS, LAYERS = 31, 16, 2, 2


def learner_of(objective: str, length: int, block_size: int, batch: int, seed: int) -> Learner:
    config = TrainConfig.from_dotted(
        {
            "seed": seed,
            "objective.name": objective,
            "data.length": length,
            "model.dropout": 0,
            "optimizer.weight_decay": 0.1,
            "finetune.block_size": block_size,
            "finetune.batch_size": batch,
        }
    )
    shape = Shape(WIDTH, LAYERS, HEADS, 8, length, VOCAB_SIZE, VOCAB_SIZE - 1)
    learner = Learner(config, shape, torch.device("cpu"))
    # Gates and head start at zero: there, hardly a gradient could differ.
    randomised(learner.model, std=0.2)
    learner.average.load_state_dict(learner.model.state_dict())
    return learner


def noise_of(learner: Learner, x0_BL: torch.Tensor, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(xt_BL, charge_BL) of a step, as the learner draws them."""
    phase = learner.config.finetune
    batch, length = x0_BL.shape
    generator = torch.Generator().manual_seed(seed_of(learner.config.seed, "finetune", "masks", step))
    blocks = length // phase.block_size
    u_BN = sample_time(batch, blocks, antithetic=phase.antithetic, generator=generator, device="cpu")
    level = phase.clip.level(phase.schedule, u_BN, 0.0)
    xt_BL, _, importance_BN = corrupt(x0_BL, level.move_chance, phase.masking, VOCAB_SIZE - 1, generator)
    return xt_BL, (importance_BN * level.loss_scale).repeat_interleave(phase.block_size, dim=1)


SHAPES = st.sampled_from(
    [("bd3lm", 8, 1), ("bd3lm", 8, 4), ("bd3lm", 12, 3), ("mdlm", 8, 8), ("ar", 8, 1), ("bd3lm", 16, 8)]
)


@settings(max_examples=20, deadline=None)
@given(shape=SHAPES, batch=st.integers(1, 4), seed=st.integers(0, 99), tile=st.sampled_from([1, 4, 64]))
def test_loss_and_gradients_are_those_of_the_plain_step(shape, batch, seed, tile):
    objective, length, block_size = shape
    learner = learner_of(objective, length, block_size, batch, seed)
    x0 = torch.randint(0, VOCAB_SIZE - 1, (batch, length), generator=torch.Generator().manual_seed(seed))
    plain = Step(learner, length, None if objective == "ar" else block_size)
    xt, charge = (x0, x0) if objective == "ar" else noise_of(learner, x0, 1)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "TILE", tile)
        attention.tile_masks.cache_clear()
        masks = torch.Generator().manual_seed(seed_of(seed, "finetune", "masks", 1))
        losses = learner.config.objective.loss(learner.model, x0, learner.config.finetune, 0.0, masks)
        loss = losses.loss_BL.sum() / losses.scored_BL.sum()
        ours = torch.autograd.grad(loss, list(learner.model.parameters()))
    attention.tile_masks.cache_clear()
    expected = plain.loss(x0, xt, charge)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    theirs = torch.autograd.grad(expected, list(plain.weights.values()))
    for name, one, other in zip(plain.weights, ours, theirs, strict=True):
        assert (one - other).norm() <= 1e-5 * other.norm(), name


@pytest.mark.parametrize(("objective", "length", "block_size"), [("bd3lm", 16, 4), ("ar", 16, 1)])
def test_steps_end_where_the_plain_ones_do(objective, length, block_size):
    """AdamW, clipping and the moving average included."""
    learner = learner_of(objective, length, block_size, batch=4, seed=3)
    plain = Step(learner, length, None if objective == "ar" else block_size)
    before = {name: weight.detach().clone() for name, weight in plain.weights.items()}
    phase = learner.config.finetune
    x0 = torch.randint(0, VOCAB_SIZE - 1, (4, length), generator=torch.Generator().manual_seed(0))
    for step in range(1, 6):
        xt, charge = (x0, x0) if objective == "ar" else noise_of(learner, x0, step)
        expected = plain.take(x0, xt, charge, learning_rate(phase, step), step)
        loss, _ = learner.take_step(StepOfRun(x0, phase, "finetune", step, step))
        assert loss == pytest.approx(expected, rel=1e-5), step
    for name, parameter in learner.model.named_parameters():
        moved = (plain.weights[name] - before[name]).norm()
        assert moved > 0, name
        assert (parameter - plain.weights[name]).norm() <= 1e-2 * moved, name
    for name, parameter in learner.average.named_parameters():
        moved = (plain.average[name] - before[name]).norm()
        assert (parameter - plain.average[name]).norm() <= 1e-2 * moved, name


@pytest.mark.parametrize("tile", [1, 4, 5, 64])
@pytest.mark.parametrize(
    "layout",
    [noised(12, 1), noised(12, 3), noised(12, 12), noised(12, 4, copies=3), block_causal(11, 1)],
    ids=str,
)
@pytest.mark.parametrize("last", [False, True])
def test_tiles_are_dense_attention(layout: Layout, tile: int, last: bool, monkeypatch):
    monkeypatch.setattr(attention, "TILE", tile)
    attention.tile_masks.cache_clear()
    generator = torch.Generator().manual_seed(0)
    size = layout.num_noisy + layout.clean
    rows = layout.num_read if last else size
    given_3BHSK = torch.randn(3, 2, 2, size, 4, generator=generator, requires_grad=True)
    weight = torch.randn(2, 2, rows, 4, generator=generator)
    found = []
    for attend in (tiled, dense):
        q, k, v = given_3BHSK
        o = attend(q[:, :, :rows], k, v, layout)
        found.append((o.detach(), *torch.autograd.grad((o * weight).sum(), given_3BHSK)))
    attention.tile_masks.cache_clear()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [0, 1, CHUNK, CHUNK + 3])
@pytest.mark.parametrize("equal", [True, False], ids=["sum", "weighted"])
def test_cross_entropy_in_pieces(rows: int, equal: bool):
    """Whatever its rows are multiplied by afterwards: with equal weights no logits are made twice."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(13, 8, generator=generator, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(13, generator=generator, dtype=torch.float64)
    bias[12] = -torch.inf  # the mask's
    bias.requires_grad_()
    target = torch.randint(0, 12, (rows,), generator=generator)
    charge = torch.rand(rows, generator=generator, dtype=torch.float64)
    after = torch.full_like(charge, 0.3) if equal else torch.rand(rows, generator=generator).double()
    fast = linear_cross_entropy(hidden, weight, bias, target, charge)
    logits = torch.nn.functional.linear(hidden, weight, bias)
    slow = charge * torch.nn.functional.cross_entropy(logits, target, reduction="none")
    torch.testing.assert_close(fast, slow)
    ours, theirs = (
        torch.autograd.grad((loss * after).sum(), (hidden, weight, bias)) for loss in (fast, slow)
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    with torch.no_grad():
        torch.testing.assert_close(linear_cross_entropy(hidden, weight, bias, target, charge), slow)


@pytest.mark.parametrize("objective", [BlockDiffusion(), Autoregressive()], ids=lambda each: each.name)
def test_no_logits_are_kept_for_the_backward_pass(objective):
    """What autograd saves grows with the rows by the width of the network, not by the vocabulary."""
    vocab_size, length = 5_000, 32
    model = network(objective, length=length, vocab_size=vocab_size).train()
    phase = learner_of(objective.name, length, 1, 4, 0).config.finetune
    saved = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    x0 = torch.randint(0, vocab_size - 1, (4, length), generator=torch.Generator().manual_seed(0))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        objective.loss(model, x0, phase, 0.0, torch.Generator().manual_seed(0))
    assert max(saved.values()) == vocab_size * model.shape.width  # the head and its gradient
    assert 4 * (length - 1) * vocab_size > 7 * max(saved.values())  # what the logits would be, at AR
