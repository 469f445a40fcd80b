"""The network that a run's settings ask for: its shape, fresh weights, and how it is computed.

No torch at module level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.config.train_config import TrainConfig
from trainer.data.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

    from trainer.network.model import Denoiser, Shape
    from trainer.settings.causal_lm import CausalLM


def network_of(config: TrainConfig, shape: Shape, device: torch.device) -> Denoiser:
    """Freshly drawn, on the device, computed as config.compute says; a precision left open is float32.

    Raises TrainingError where this machine has no such backend.
    """
    import torch

    from trainer.network.backends import attention_named, place_of

    model = config.objective.build(shape, config.model.dropout).to(device)
    model.low_precision = config.compute.precision == "bfloat16"
    place = place_of(torch.empty(0, dtype=model.dtype, device=device))
    model.attention, model.recalling = attention_named(config.compute.attention, place)
    compiled = config.compute.compile
    if compiled == "layers" or (compiled == "auto" and device.type == "cuda"):
        model.compile_layers()
    return model


def shape_of(config: TrainConfig, tokenizer: Tokenizer, source: CausalLM | None = None) -> Shape:
    """source: the causal model that the run goes on from, whose network is its own."""
    from trainer.network.model import Shape

    model = config.model
    return Shape(
        width=model.width,
        layers=model.layers,
        heads=model.heads,
        cond_width=model.cond_width,
        length=config.data.length,
        vocab_size=tokenizer.vocab_size,
        mask_id=tokenizer.mask_id,
        source=source,
    )
