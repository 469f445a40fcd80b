"""A CUDA graph, compiled layers, and both as a run on a GPU has them: the losses and gradients of plain
steps."""

from functools import partial

import pytest
import torch

from tests.gpu.learners import PRECISIONS, distance, learner_of, tokens_for, vector
from trainer.training.cuda_graphs import CapturedStep
from trainer.training.learner import Learner, Step

pytestmark = pytest.mark.gpu
ERROR = {"float32": 2e-5, "bfloat16": 2e-2}
NO_CLIPPING = 1e9


@pytest.fixture
def compiles(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU's compiler would take half a minute; without it, what is traced is run."""
    if device.type == "cpu":
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


def drawn_for(learner: Learner, x0_BL: torch.Tensor, seed: int) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return learner.config.objective.draw(learner.model, x0_BL, learner.config.finetune, 0.0, generator)


def plain(
    learner: Learner, x0_BL: torch.Tensor, drawn: tuple[torch.Tensor, ...]
) -> tuple[float, torch.Tensor]:
    """Without touching what lies with the parameters: that is the graph's."""
    losses = learner.config.objective.drawn_loss(learner.model, x0_BL, drawn, learner.config.finetune)
    loss = losses.loss_BL.sum() / losses.scored_BL.sum()
    return loss.item(), vector(torch.autograd.grad(loss, list(learner.model.parameters())))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("objective", "block_size"), [("bd3lm", 4), ("mdlm", 64)])
def test_a_graph_has_the_loss_and_gradients_of_the_plain_form(
    objective: str, block_size: int, precision: str, device: torch.device, replays: bool
):
    """Other tokens and other masks each time."""
    learner = learner_of(device, objective, block_size, compute__precision=precision)
    learner.model.train()
    captured = CapturedStep(learner.model, learner.config.finetune, NO_CLIPPING)
    for seed in range(4 if replays else 1):
        x0_BL = tokens_for(learner, seed)
        drawn = drawn_for(learner, x0_BL, seed)
        expected_loss, expected = plain(learner, x0_BL, drawn)
        loss, norm = captured(x0_BL, drawn)
        gradients = vector(each.grad for each in learner.model.parameters())
        assert loss.item() == pytest.approx(expected_loss, rel=ERROR[precision])
        assert distance(gradients, expected) < ERROR[precision]
        assert norm.item() == pytest.approx(gradients.norm().item(), rel=1e-4)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_compiled_layers_are_the_plain_ones(precision: str, device: torch.device, compiles: None):
    """The second batch has another number of masked rows: a shape that was not compiled for."""
    learner, compiled = (
        learner_of(device, compute__precision=precision, compute__compile=each) for each in ("off", "layers")
    )
    for seed in range(2):
        x0_BL = tokens_for(learner, seed)
        drawn = drawn_for(learner, x0_BL, seed)
        expected_loss, expected = plain(learner, x0_BL, drawn)
        loss, gradients = plain(compiled, x0_BL, drawn)
        assert loss == pytest.approx(expected_loss, rel=ERROR[precision])
        assert distance(gradients, expected) < ERROR[precision]


def test_steps_as_a_gpu_takes_them_are_the_plain_ones(device: torch.device, compiles: None):
    """Graph, compiled layers and AdamW as `auto` has them, against none of it; and weights at the end."""
    found = []
    for each in ("auto", "off"):
        learner = learner_of(device, compute__compile=each, compute__graph=each)
        steps = [
            learner.take_step(Step(tokens_for(learner, s), learner.config.finetune, "finetune", s, s))
            for s in range(1, 6)
        ]
        found.append((steps, vector(learner.model.parameters()), vector(learner.average.parameters())))
    (steps, weights, average), (plain_steps, plain_weights, plain_average) = found
    for one, other in zip(steps, plain_steps, strict=True):
        assert one == pytest.approx(other, rel=1e-3)
    assert distance(weights, plain_weights) < 1e-3
    assert distance(average, plain_average) < 1e-3
