"""Small learners on any device, with equal weights that are not zero, and what a step of theirs comes to."""

from typing import Any

import pytest
import torch

from tests.trainer.networks import randomised
from trainer.config.train_config import TrainConfig
from trainer.network.model import Shape
from trainer.training.learner import Learner

WORDS, LENGTH, BATCH = 97, 64, 8
PRECISIONS = ["float32", pytest.param("bfloat16", marks=pytest.mark.long)]  # emulated, the second takes time
CASES = [("bd3lm", 4), ("bd3lm", 16), ("mdlm", LENGTH), ("ar", 1)]  # objective, block size


def learner_of(
    device: torch.device, objective: str = "bd3lm", block_size: int = 4, **changes: Any
) -> Learner:
    """In float32 and plainly computed, but for what changes; names with __ for the dot."""
    config = TrainConfig.from_dotted(
        {
            "objective.name": objective,
            "data.length": LENGTH,
            "model.dropout": 0,
            "finetune.block_size": block_size,
            "finetune.batch_size": BATCH,
            "compute.precision": "float32",
            "compute.compile": "off",
            "compute.graph": "off",
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
    )
    learner = Learner(config, Shape(64, 3, 2, 8, LENGTH, WORDS, WORDS - 1), device)
    randomised(learner.model, std=0.1)
    learner.average.load_state_dict(learner.model.state_dict())
    return learner


def tokens_for(learner: Learner, seed: int = 0) -> torch.Tensor:
    """x0_BL."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, WORDS - 1, (BATCH, LENGTH), generator=generator).to(learner.device)


def loss_and_gradients(learner: Learner, x0_BL: torch.Tensor) -> tuple[float, torch.Tensor]:
    """All gradients as one vector, on the CPU."""
    generator = torch.Generator().manual_seed(5)
    losses = learner.config.objective.loss(learner.model, x0_BL, learner.config.finetune, 0.0, generator)
    loss = losses.loss_BL.sum() / losses.scored_BL.sum()
    return loss.item(), vector(torch.autograd.grad(loss, list(learner.model.parameters())))


def vector(tensors: Any) -> torch.Tensor:
    return torch.cat([each.detach().double().flatten().cpu() for each in tensors])


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Relative."""
    return ((one.double() - other.double()).norm() / other.double().norm()).item()
