"""Small networks whose gates and head are not zero: at zero, no test of attention could fail."""

import torch

from trainer.network.model import Denoiser, Shape
from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.base import Objective
from trainer.objectives.block_diffusion import BlockDiffusion


def randomised(model: Denoiser, std: float = 0.3) -> Denoiser:
    """The same network, every parameter redrawn, and ready to evaluate."""
    generator = torch.Generator().manual_seed(17)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std + ("norm" in name))
    return model.eval()


def network(
    objective: Objective = BlockDiffusion(),  # noqa: B008
    *,
    length: int = 8,
    vocab_size: int = 11,
    width: int = 16,
    layers: int = 2,
    dropout: float = 0.0,
    std: float = 0.3,
) -> Denoiser:
    """Its mask is the last word."""
    shape = Shape(width, layers, 2, 8, length, vocab_size, vocab_size - 1)
    return randomised(objective.build(shape, dropout), std)


def toy(*, causal: bool, length: int) -> Denoiser:
    """Four letters (BOS is one of them) and the mask, in float64: a distribution that can be summed."""
    objective = Autoregressive() if causal else BlockDiffusion()
    return network(objective, length=length, vocab_size=5, width=8, layers=2, std=0.6).double()
