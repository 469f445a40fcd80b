"""The three sizes of the network, and what goes with each unless said otherwise."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from trainer.values import Settings, group, with_defaults


class Size(NamedTuple):
    """What a size stands for: the network's shape, its peak learning rate, AdamW's beta2, the EMA's decay."""

    width: int
    layers: int
    heads: int
    cond_width: int
    dropout: float
    lr: float
    beta2: float
    ema: float


# nano was tuned for length 64 and 2,048 words on two CPU cores; tiny and small have the public
# code's shapes (Arriola et al. 2025), and small its optimizer too.
SIZES: dict[str, Size] = {
    "nano": Size(64, 2, 2, 64, 0.0, 1e-3, 0.99, 0.99),
    "tiny": Size(256, 8, 8, 64, 0.1, 1e-3, 0.99, 0.999),
    "small": Size(768, 12, 12, 128, 0.1, 3e-4, 0.999, 0.9999),
}


class ModelConfig(Settings):
    """The denoiser's shape. Width, layers, heads, cond_width and dropout default to the size's."""

    size: Literal["nano", "tiny", "small"] = Field(
        "nano", description="What the shape, the learning rates, beta2 and ema are unless said."
    )
    width: int = Field(ge=8, le=65_536, description="D, a multiple of 2 * heads.")
    layers: int = Field(ge=1, le=1_000, description="Transformer layers.")
    heads: int = Field(ge=1, le=65_536, description="Attention heads of a layer.")
    cond_width: int = Field(ge=1, le=65_536, description="Width of the conditioning vector.")
    dropout: float = Field(ge=0, lt=1, description="Share of activations set to 0 in training.")

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "ModelConfig":
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} is not a multiple of 2 * heads = {2 * self.heads}")
        return self


class OptimizerConfig(Settings):
    """AdamW, gradient clipping and the moving average of the weights; the same in both phases."""

    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of AdamW's mean of gradients.")
    beta2: float = Field(ge=0, lt=1, description="Of its mean of squares. Default: the model size's own.")
    eps: float = Field(1e-8, gt=0, description="Added to the root of that mean.")
    weight_decay: float = Field(
        0.0, ge=0, description="AdamW's, apart from the gradient; a phase may have its own."
    )
    clip_norm: float = Field(1.0, gt=0, description="Gradients are clipped to this global norm.")
    ema: float = Field(
        ge=0, lt=1, description="Decay of the weights' moving average. Default: the model size's own."
    )


def fill_from_size(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The nested values of a run with the size's defaults put where nothing was said.

    A size that does not exist is filled in as nano, so that only the size itself is wrong.
    """
    name = group(raw, "model").get("size", "nano")
    size = SIZES.get(name, SIZES["nano"]) if isinstance(name, str) else SIZES["nano"]
    own = size._asdict()
    shape = {key: own[key] for key in ("width", "layers", "heads", "cond_width", "dropout")}
    filled = with_defaults(raw, "model", shape)
    filled = with_defaults(filled, "optimizer", {"beta2": size.beta2, "ema": size.ema})
    for phase in ("pretrain", "finetune"):
        filled = with_defaults(filled, phase, {"lr": size.lr})
    return filled
