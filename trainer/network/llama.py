"""Llama's network, and those that are built like it, in transformers' names.

Shapes: as in trainer/network/adapted.py; G query heads of a group, which share keys and values.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.network.adapted import Adapted, Angles, Layer
from trainer.network.layers import Rotary, rotate
from trainer.network.model import Shape
from trainer.network.products import cast_linear
from trainer.settings.causal_lm import Llama3Rope, LlamaLike


class Linear(nn.Linear):
    """Weights cast to what they are multiplied with."""

    def forward(self, x: Tensor) -> Tensor:
        return cast_linear(x, self.weight, self.bias)


class SelfAttention(nn.Module):
    def __init__(self, source: LlamaLike):
        super().__init__()
        width, size, bias = source.width, source.head_size, source.qkv_bias
        self.head_size, self.group = size, source.heads // source.kv_heads
        self.q_proj = Linear(width, source.heads * size, bias=bias)
        self.k_proj = Linear(width, source.kv_heads * size, bias=bias)
        self.v_proj = Linear(width, source.kv_heads * size, bias=bias)
        self.o_proj = Linear(source.heads * size, width, bias=False)
        self.q_norm = nn.RMSNorm(size, source.rms_norm_eps) if source.qk_norm else None
        self.k_norm = nn.RMSNorm(size, source.rms_norm_eps) if source.qk_norm else None

    def project(self, normed_BSD: Tensor, angles: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        maps = (self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (x(normed_BSD).unflatten(-1, (-1, self.head_size)).transpose(1, 2) for x in maps)
        q, k = rotate(_normed(q, self.q_norm), angles), rotate(_normed(k, self.k_norm), angles)
        return q, k.repeat_interleave(self.group, dim=1), v.repeat_interleave(self.group, dim=1)


def _normed(x_BHSK: Tensor, norm: nn.RMSNorm | None) -> Tensor:
    """Head by head, as exactly as the weights are."""
    return x_BHSK if norm is None else norm(x_BHSK.to(norm.weight.dtype)).to(x_BHSK.dtype)


class SwiGLU(nn.Module):
    """Shazeer 2020, arXiv 2002.05202."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.gate_proj = Linear(width, inner, bias=False)
        self.up_proj = Linear(width, inner, bias=False)
        self.down_proj = Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaLayer(Layer):
    """Attention and MLP, each behind an RMSNorm."""

    def __init__(self, source: LlamaLike, dropout: float):
        super().__init__()
        self.dropout = dropout
        self.input_layernorm = nn.RMSNorm(source.width, source.rms_norm_eps)
        self.self_attn = SelfAttention(source)
        self.post_attention_layernorm = nn.RMSNorm(source.width, source.rms_norm_eps)
        self.mlp = SwiGLU(source.width, source.intermediate_size)

    def project(self, x_BSD: Tensor, angles: Angles, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        assert angles is not None
        return self.self_attn.project(self.input_layernorm(x_BSD).to(dtype), angles)

    def transform(self, x: Tensor, attended: Tensor) -> Tensor:
        x = x + self.drop(self.self_attn.o_proj(attended))
        return x + self.drop(self.mlp(self.post_attention_layernorm(x).to(attended.dtype)))


def stretched(frequency: Tensor, by: Llama3Rope) -> Tensor:
    """Angles per token: fast ones as they are, slow ones divided by the factor, between them in between."""
    turns = by.original_max_position_embeddings * frequency / (2 * math.pi)
    fast = (turns - by.low_freq_factor) / (by.high_freq_factor - by.low_freq_factor)
    fast = fast.clamp(0, 1)
    return frequency * (fast + (1 - fast) / by.factor)


class Llama(Adapted):
    """Rotary positions, RMSNorm, SwiGLU, grouped-query attention."""

    def __init__(self, shape: Shape, source: LlamaLike, *, causal: bool, dropout: float):
        super().__init__(shape, source, causal=causal, layer=LlamaLayer)
        self.embed_tokens = nn.Embedding(shape.vocab_size, source.width)
        self.rotary_emb = Rotary(source.head_size, source.rope_theta)
        if source.rope_scaling is not None:
            self.rotary_emb.inv_freq = stretched(self.rotary_emb.inv_freq, source.rope_scaling)
        self.layers = nn.ModuleList(LlamaLayer(source, dropout) for _ in range(source.layers))
        self.norm = nn.RMSNorm(source.width, source.rms_norm_eps)

    @property
    def embedding(self) -> nn.Embedding:
        return self.embed_tokens

    @property
    def stack(self) -> Sequence[LlamaLayer]:
        return cast(list[LlamaLayer], list(self.layers))

    def embedded(self, tokens_BS: Tensor, positions_S: Tensor) -> Tensor:
        return self.embed_tokens(tokens_BS)

    def angles(self, positions_S: Tensor) -> Angles:
        return self.rotary_emb(positions_S.double(), self.dtype)  # in float32 large angles blur

    def normed(self, hidden_MD: Tensor) -> Tensor:
        return self.norm(hidden_MD)
