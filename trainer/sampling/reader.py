"""The network made ready to read a text as it grows: few tokens at a time, again and again.

Its condition is a constant, so shift, scale and gate of every layer are folded into the norm and the linear
map beside them, once. Weights are kept transposed: a product with few rows is as fast as its weight is
read, and a CPU reads it faster that way. Equal to `Denoiser.hidden` up to rounding.
Shapes: B batch, S new tokens, M rows (B * S, or those chosen among them), D width, E = 4 D, H heads,
K head size, V vocabulary.
"""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.network.adapted import Adapted
from trainer.network.attention import Cache
from trainer.network.dit import DiT
from trainer.network.layers import Block, rotate
from trainer.network.model import Denoiser


class Reader:
    """Of a network that is not told its noise, as it was when this was made."""

    def __init__(self, model: DiT):
        self.model = model
        with torch.no_grad():
            cond, dtype = model.conditioning(), model.dtype
            self._layers = [_layer(block, cond, dtype) for block in cast(list[Block], list(model.blocks))]
            self._head = _head(model, cond)

    def hidden(self, tokens_BS: Tensor, cache: Cache, chosen_M: Tensor) -> Tensor:
        """hidden_MD of rows chosen among the B * S tokens of whole blocks that follow those in the cache.

        Each reads its own block and those before it, as far back as the cache's window reaches. They
        join it by `cache.advance`.
        """
        batch, new = tokens_BS.shape
        positions_S = torch.arange(cache.length, cache.length + new, device=tokens_BS.device)
        # In float64, for far from the start float32 would blur the angles.
        rotary = self.model.rotary_emb(positions_S.double(), self.model.dtype)
        cache.make_room(new)
        x_MD = self.model.vocab_embed(tokens_BS).flatten(0, 1)
        *layers, last = self._layers
        for index, layer in enumerate(layers):
            x_MD = layer.transform(x_MD, layer.attend(x_MD, batch, rotary, cache, index))
        attended_MD = last.attend(x_MD, batch, rotary, cache, len(layers))
        return last.transform(x_MD[chosen_M], attended_MD[chosen_M])

    def logits(self, hidden_MD: Tensor) -> Tensor:
        """logits_MV, the mask's at -inf; of the dtype of the parameters."""
        head = self._head
        return torch.addmm(head.bias_V, head.norm(hidden_MD), head.weight_DV).to(head.norm.weight_D.dtype)


class AdaptedReader:
    """Of a causal model of transformers, as it is: nothing in it depends on a condition."""

    def __init__(self, model: Adapted):
        self.model = model

    def hidden(self, tokens_BS: Tensor, cache: Cache, chosen_M: Tensor) -> Tensor:
        """As `Reader.hidden`. A row is a token's own, which predicts the next one."""
        new = tokens_BS.shape[1]
        positions_S = torch.arange(cache.length, cache.length + new, device=tokens_BS.device)
        cache.make_room(new)
        return self.model.read(tokens_BS, positions_S, cache.attend, chosen_M)

    def logits(self, hidden_MD: Tensor) -> Tensor:
        """logits_MV, the mask's at -inf."""
        return self.model.logits(hidden_MD)


AnyReader = Reader | AdaptedReader


def reader_of(model: Denoiser) -> AnyReader:
    if isinstance(model, Adapted):
        return AdaptedReader(model)
    assert isinstance(model, DiT)
    return Reader(model)


class _Norm(NamedTuple):
    weight_D: Tensor
    bias_D: Tensor
    eps: float
    dtype: torch.dtype  # of what comes out: the residual stream stays as it is

    def __call__(self, x_MD: Tensor) -> Tensor:
        return F.layer_norm(x_MD, self.weight_D.shape, self.weight_D, self.bias_D, self.eps).to(self.dtype)


class _Layer(NamedTuple):
    """A `Block`."""

    heads: int
    norm1: _Norm
    qkv: Tensor  # (D, 3 D)
    out_DD: Tensor
    norm2: _Norm
    widen_DE: Tensor
    widen_bias_E: Tensor
    narrow_ED: Tensor
    narrow_bias_D: Tensor

    def attend(
        self, x_MD: Tensor, batch: int, rotary: tuple[Tensor, Tensor], cache: Cache, index: int
    ) -> Tensor:
        """attended_MD: what all new tokens read in the cache and in each other; index is the layer's."""
        qkv_MX = self.norm1(x_MD) @ self.qkv
        qkv_BHSK = qkv_MX.view(batch, -1, 3 * self.heads, x_MD.shape[1] // self.heads).transpose(1, 2)
        qk_BHSK, v_BHSK = qkv_BHSK.split([2 * self.heads, self.heads], dim=1)
        q_BHSK, k_BHSK = rotate(qk_BHSK, rotary).chunk(2, dim=1)
        return cache.attend(index, q_BHSK, k_BHSK, v_BHSK).transpose(1, 2).reshape(x_MD.shape)

    def transform(self, x_MD: Tensor, attended_MD: Tensor) -> Tensor:
        """The residual stream behind this layer, row by row."""
        x_MD = x_MD + attended_MD @ self.out_DD
        widened_ME = torch.addmm(self.widen_bias_E, self.norm2(x_MD), self.widen_DE)
        changed_MD = torch.addmm(self.narrow_bias_D, F.gelu(widened_ME, approximate="tanh"), self.narrow_ED)
        return x_MD + changed_MD


class _Head(NamedTuple):
    norm: _Norm
    weight_DV: Tensor
    bias_V: Tensor


def _layer(block: Block, cond_C: Tensor | None, dtype: torch.dtype) -> _Layer:
    """dtype: of products and attention; what is folded is folded in that of the parameters."""
    shift1, scale1, gate1, shift2, scale2, gate2 = block.modulation(cond_C)
    widen, narrow = cast(nn.Linear, block.mlp[0]), cast(nn.Linear, block.mlp[2])
    return _Layer(
        block.heads,
        _norm(block.norm1, shift1, scale1, dtype),
        _ready(block.attn_qkv.weight.T, dtype),
        _ready(block.attn_out.weight.T * gate1, dtype),
        _norm(block.norm2, shift2, scale2, dtype),
        _ready(widen.weight.T, dtype),
        _ready(widen.bias, dtype),
        _ready(narrow.weight.T * gate2, dtype),
        _ready(narrow.bias * gate2, dtype),
    )


def _head(model: DiT, cond_C: Tensor | None) -> _Head:
    output = model.output_layer
    shift, scale = output.modulation(cond_C)
    norm = _norm(output.norm_final, shift, scale, model.dtype)
    bias_V = output.linear.bias.clone()
    bias_V[model.shape.mask_id] = -math.inf
    return _Head(norm, _ready(output.linear.weight.T, model.dtype), _ready(bias_V, model.dtype))


def _ready(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(dtype).contiguous()


def _norm(norm: nn.LayerNorm, shift_D: Tensor, scale_D: Tensor, dtype: torch.dtype) -> _Norm:
    return _Norm(norm.weight * (1 + scale_D), shift_D, norm.eps, dtype)
