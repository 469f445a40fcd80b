"""What the transformer is made of: embeddings, the blocks with their modulation, the head.

Shapes: B batch, S tokens of a pass, R rows that are read off, M chosen rows, D width, H heads, K head size,
C width of the conditioning, V vocabulary.
"""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.network.gelu import TanhGELU
from trainer.network.products import cast_linear

FREQUENCIES = 128  # of the sinusoids that embed sigma


class Embedding(nn.Module):
    """A row of D for each of the V words, the mask among them."""

    def __init__(self, vocab_size: int, width: int):
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(vocab_size, width))
        nn.init.kaiming_uniform_(self.embedding, a=math.sqrt(5))

    def forward(self, tokens_BS: Tensor) -> Tensor:
        """x_BSD."""
        return F.embedding(tokens_BS, self.embedding)


class SigmaMap(nn.Module):
    """The conditioning vector of sigma, by default of 0: sinusoids, then a small MLP."""

    sinusoids: Tensor
    frequencies: Tensor

    def __init__(self, cond_width: int):
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Linear(2 * FREQUENCIES, cond_width), nn.SiLU(), nn.Linear(cond_width, cond_width)
        )
        cosines_and_sines = torch.cat([torch.ones(FREQUENCIES), torch.zeros(FREQUENCIES)])
        self.register_buffer("sinusoids", cosines_and_sines, persistent=False)
        frequencies = torch.exp(-math.log(10_000) * torch.arange(FREQUENCIES).float() / FREQUENCIES)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def forward(self, sigma: Tensor | None = None) -> Tensor:
        """(..., C) of sigma (...), or C of sigma = 0."""
        if sigma is None:
            return self.mlp(self.sinusoids)
        angles = sigma[..., None].to(self.frequencies.dtype) * self.frequencies
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1))


class Rotary(nn.Module):
    """Rotary positions (Su et al. 2021), the two halves of a head rotated against each other."""

    inv_freq: Tensor

    def __init__(self, head_size: int, base: float = 10_000.0):
        super().__init__()
        exponents = torch.arange(0, head_size, 2).float() / head_size
        self.register_buffer("inv_freq", 1.0 / base**exponents)

    def forward(self, positions_S: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """cos_SK and sin_SK of this dtype, the latter with the sign that `rotate` expects."""
        angles = positions_S[:, None] * self.inv_freq
        cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
        return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x_BHSK: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """x_BHSK, queries or keys, turned by the angles of the first S positions of a `Rotary`'s tables."""
    cos_SK, sin_SK = (table[: x_BHSK.shape[2]] for table in rotary)
    if x_BHSK.is_cpu:  # whose loops are as long as what lies in a row
        x_BHSK = x_BHSK.contiguous()
    return torch.addcmul(x_BHSK * cos_SK, x_BHSK.roll(x_BHSK.shape[-1] // 2, dims=-1), sin_SK)


def heads_joined(o_BHRK: Tensor) -> Tensor:
    """o_BRD."""
    return o_BHRK.transpose(1, 2).flatten(2)


class Modulation(NamedTuple):
    """Of one layer, each of D, B1D or MD: shift, scale and gate of the attention, then of the MLP."""

    shift1: Tensor
    scale1: Tensor
    gate1: Tensor
    shift2: Tensor
    scale2: Tensor
    gate2: Tensor

    def of_sequences(self, sequence_M: Tensor) -> "Modulation":
        """From one for each sequence (B1D), those of rows of these sequences (MD)."""
        return Modulation(*(part_B1D[sequence_M, 0] for part_B1D in self))


class Block(nn.Module):
    """One layer: attention and MLP, each normalised, shifted and scaled before, gated after."""

    def __init__(self, width: int, heads: int, cond_width: int | None, dropout: float):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.attn_qkv = nn.Linear(width, 3 * width, bias=False)
        self.attn_out = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), TanhGELU(), nn.Linear(4 * width, width))
        self.adaLN_modulation = _zero_linear(cond_width, 6 * width) if cond_width else None

    def modulation(self, cond: Tensor | None) -> Modulation:
        """What the condition makes of this layer; without one (AR), what leaves it as it is."""
        if self.adaLN_modulation is not None:
            return Modulation(*self.adaLN_modulation(cond).chunk(6, dim=-1))
        zero, one = torch.zeros_like(self.norm1.weight), torch.ones_like(self.norm1.weight)
        return Modulation(zero, zero, one, zero, zero, one)

    def project(
        self,
        x_BRD: Tensor,
        x_BSD: Tensor,
        modulation: Modulation,
        rotary: tuple[Tensor, Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        """q_BHRK of the first R tokens, k_BHSK and v_BHSK of all S."""
        query, key_value = self.attn_qkv.weight.tensor_split([x_BSD.shape[-1]])
        normed_BSD = _modulated_norm(x_BSD, self.norm1, modulation.shift1, modulation.scale1)
        normed_BSD = normed_BSD.to(rotary[0].dtype)
        normed_BRD = normed_BSD if x_BRD is x_BSD else normed_BSD[:, : x_BRD.shape[1]]
        q_BHRK = self._by_head(cast_linear(normed_BRD, query))
        k_BHSK, v_BHSK = map(self._by_head, cast_linear(normed_BSD, key_value).chunk(2, dim=-1))
        return rotate(q_BHRK, rotary), rotate(k_BHSK, rotary), v_BHSK

    def transform(self, x: Tensor, attended: Tensor, modulation: Modulation) -> Tensor:
        """The residual stream after this layer, token by token; (..., D)."""
        x = x + self._drop(_gated_linear(attended, self.attn_out, modulation.gate1))
        normed = _modulated_norm(x, self.norm2, modulation.shift2, modulation.scale2)
        widen, gelu, narrow = (cast(nn.Linear, part) for part in self.mlp)
        widened = gelu(cast_linear(normed.to(attended.dtype), widen.weight, widen.bias))
        return x + self._drop(_gated_linear(widened, narrow, modulation.gate2))

    def _by_head(self, x_BSD: Tensor) -> Tensor:
        return x_BSD.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training) if self.dropout else x


class OutputLayer(nn.Module):
    """The last norm, shifted and scaled, and the head."""

    def __init__(self, width: int, vocab_size: int, cond_width: int | None):
        super().__init__()
        self.norm_final = nn.LayerNorm(width, bias=False)
        self.linear = _zero_linear(width, vocab_size)
        self.adaLN_modulation = _zero_linear(cond_width, 2 * width) if cond_width else None

    def forward(self, hidden_MD: Tensor, cond: Tensor | None, mask_id: int) -> tuple[Tensor, Tensor, Tensor]:
        """What F.linear makes logits_MV of, -inf at mask_id: normed_MD, weight_VD and bias_V.

        cond is of C, or of MC where each row has its own noise.
        """
        normed_MD = _modulated_norm(hidden_MD, self.norm_final, *self.modulation(cond))
        # In the bias, the exclusion of the mask costs V instead of M * V.
        bias = self.linear.bias.index_fill(0, torch.full((), mask_id, device=hidden_MD.device), -math.inf)
        return normed_MD, self.linear.weight, bias

    def modulation(self, cond: Tensor | None) -> tuple[Tensor, ...]:
        """Shift and scale, as the condition makes them."""
        if self.adaLN_modulation is not None:
            return self.adaLN_modulation(cond).chunk(2, dim=-1)
        zero = torch.zeros_like(self.norm_final.weight)
        return zero, zero


def _zero_linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


# A modulation that is the same for every token is folded into what stands next to it: shift and scale
# into the norm's affine map, the gate into the linear map before it. Equal up to rounding.


def _modulated_norm(x: Tensor, norm: nn.LayerNorm, shift: Tensor, scale: Tensor) -> Tensor:
    if shift.dim() == 1:
        return F.layer_norm(x, norm.normalized_shape, norm.weight * (1 + scale), shift, norm.eps)
    return torch.addcmul(shift, norm(x), 1 + scale)


def _gated_linear(x: Tensor, linear: nn.Linear, gate: Tensor) -> Tensor:
    if gate.dim() == 1:
        bias = None if linear.bias is None else gate * linear.bias
        return cast_linear(x, gate[:, None] * linear.weight, bias)
    return gate * cast_linear(x, linear.weight, linear.bias)
