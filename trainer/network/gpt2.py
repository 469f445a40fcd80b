"""GPT-2's network, in transformers' names. Shapes: as in trainer/network/adapted.py."""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.network.adapted import Adapted, Angles, Layer
from trainer.network.model import Shape
from trainer.network.products import cast_linear
from trainer.settings.causal_lm import Gpt2Config


class Conv1D(nn.Module):
    """A linear map whose weight is kept as (inputs, outputs)."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs) * 0.02)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return cast_linear(x, self.weight.T, self.bias)


class Gpt2Layer(Layer):
    """Attention and MLP, each behind a LayerNorm."""

    def __init__(self, source: Gpt2Config, dropout: float):
        super().__init__()
        self.heads, self.dropout = source.heads, dropout
        width, eps = source.width, source.layer_norm_epsilon
        self.ln_1, self.ln_2 = nn.LayerNorm(width, eps), nn.LayerNorm(width, eps)
        self.attn = nn.ModuleDict({"c_attn": Conv1D(width, 3 * width), "c_proj": Conv1D(width, width)})
        self.mlp = nn.ModuleDict({"c_fc": Conv1D(width, source.inner), "c_proj": Conv1D(source.inner, width)})

    def project(self, x_BSD: Tensor, angles: Angles, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        qkv_BSX = self.attn["c_attn"](self.ln_1(x_BSD).to(dtype))
        q, k, v = qkv_BSX.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def transform(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.drop(self.attn["c_proj"](attended))
        widened = F.gelu(self.mlp["c_fc"](self.ln_2(x).to(attended.dtype)), approximate="tanh")
        return x + self.drop(self.mlp["c_proj"](widened))


class Gpt2(Adapted):
    """Positions are learned, so a text ends where they do."""

    def __init__(self, shape: Shape, source: Gpt2Config, *, causal: bool, dropout: float):
        super().__init__(shape, source, causal=causal, layer=Gpt2Layer)
        self._most_positions = source.n_positions
        self.wte = nn.Embedding(shape.vocab_size, source.width)
        self.wpe = nn.Embedding(source.n_positions, source.width)
        self.h = nn.ModuleList(Gpt2Layer(source, dropout) for _ in range(source.layers))
        self.ln_f = nn.LayerNorm(source.width, source.layer_norm_epsilon)

    @property
    def most_positions(self) -> int:
        return self._most_positions

    @property
    def embedding(self) -> nn.Embedding:
        return self.wte

    @property
    def stack(self) -> Sequence[Gpt2Layer]:
        return cast(list[Gpt2Layer], list(self.h))

    def embedded(self, tokens_BS: Tensor, positions_S: Tensor) -> Tensor:
        return self.wte(tokens_BS) + self.wpe(positions_S)

    def angles(self, positions_S: Tensor) -> Angles:
        return None

    def normed(self, hidden_MD: Tensor) -> Tensor:
        return self.ln_f(hidden_MD)
