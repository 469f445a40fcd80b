"""The transformer, all of it: the denoiser of BD3-LM and MDLM, and with causal=True the AR baseline.

Names and shapes of the parameters are the public checkpoints' (Arriola et al. 2025, arXiv 2503.09573;
its DiT is Peebles & Xie 2023 with rotary positions), so that their weights load as they are.

A condition is a vector of C: one for every token (C), or one for each sequence (B1C) or row (MC) where
the network is told its noise.
Shapes: B batch, S tokens of a pass, R rows that are read off, M chosen rows, D width, H heads,
K head size, C width of the conditioning, V vocabulary.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainer.network.attention import Attention, Layout, Recalling
from trainer.network.backends import fitting, recall_fittingly
from trainer.network.cross_entropy import linear_cross_entropy

FREQUENCIES = 128  # of the sinusoids that embed sigma


class Shape(NamedTuple):
    """What a network's parameters are made from. vocab_size includes the mask."""

    width: int
    layers: int
    heads: int
    cond_width: int
    length: int
    vocab_size: int
    mask_id: int


class Denoiser(nn.Module):
    """Tokens to logits. Not told the time, its conditioning is a trained constant (sigma = 0); SEDD tells it
    sigma = -log(1 - p) of each sequence.

    Weights are drawn from torch's global generator, dropout too: the caller seeds it. Gates and head
    start at zero, so that a fresh network is uniform over the vocabulary without the mask.
    In bfloat16 are products, what goes between them, and attention. The residual stream, norms, what the
    condition makes of the layers (vectors of D, whose gradients are sums over all tokens), softmax and losses
    stay as the weights are.
    """

    def __init__(self, shape: Shape, *, causal: bool, dropout: float, attention: Attention = fitting):
        super().__init__()
        self.shape = shape
        self.causal = causal
        self.attention = attention
        self.recalling: Recalling = recall_fittingly
        self.low_precision = False
        self._project, self._transform = Block.project, Block.transform
        cond_width = None if causal else shape.cond_width
        self.vocab_embed = Embedding(shape.vocab_size, shape.width)
        self.sigma_map = None if causal else SigmaMap(shape.cond_width)
        self.rotary_emb = Rotary(shape.width // shape.heads)
        self.blocks = nn.ModuleList(
            Block(shape.width, shape.heads, cond_width, dropout) for _ in range(shape.layers)
        )
        self.output_layer = OutputLayer(shape.width, shape.vocab_size, cond_width)

    @property
    def dtype(self) -> torch.dtype:
        """Of products and attention."""
        return torch.bfloat16 if self.low_precision else self.vocab_embed.embedding.dtype

    def hidden(
        self,
        tokens_BS: Tensor,
        layout: Layout,
        chosen_M: Tensor | None = None,
        sigma_B: Tensor | None = None,
    ) -> Tensor:
        """hidden_BRD of the rows that the layout reads off, or hidden_MD of those chosen among B * R.

        `logits` of any of them are its predictions. The last layer computes no more than is asked for:
        the other tokens serve it as keys and values alone.
        """
        rotary = self.rotary_emb(layout.positions(tokens_BS.device), self.dtype)
        cond = self.conditioning(None if sigma_B is None else sigma_B[:, None])
        x_BSD = self.vocab_embed(tokens_BS)
        *layers, last = cast(list[Block], list(self.blocks))
        for layer in layers:
            modulation = layer.modulation(cond)
            o_BHSK = self.attention(*self._project(layer, x_BSD, x_BSD, modulation, rotary), layout)
            x_BSD = self._transform(layer, x_BSD, heads_joined(o_BHSK), modulation)
        x_BRD = x_BSD[:, : layout.num_read]
        modulation = last.modulation(cond)
        o_BHRK = self.attention(*self._project(last, x_BRD, x_BSD, modulation, rotary), layout)
        attended_BRD = heads_joined(o_BHRK)
        if chosen_M is None:
            return self._transform(last, x_BRD, attended_BRD, modulation)
        x_MD, attended_MD = (x.flatten(0, 1).index_select(0, chosen_M) for x in (x_BRD, attended_BRD))
        if sigma_B is not None:
            modulation = modulation.of_sequences(chosen_M // layout.num_read)
        return self._transform(last, x_MD, attended_MD, modulation)

    def compile_layers(self) -> None:
        """One compiled layer serves all: what stands before and after attention, which has its backends."""
        self._project = torch.compile(Block.project)
        self._transform = torch.compile(Block.transform)

    def logits(self, hidden_MD: Tensor, sigma_M: Tensor | None = None) -> Tensor:
        """logits_MV, the mask's at -inf: so that its probability is 0 (SUBS, Sahoo et al. 2024)."""
        normed_MD, weight_VD, bias_V = self.head(hidden_MD, sigma_M)
        return _linear(normed_MD, weight_VD, bias_V).to(weight_VD.dtype)

    def cross_entropy(self, hidden_MD: Tensor, target_M: Tensor, charge_M: Tensor) -> Tensor:
        """loss_M = charge * -log p(target), the mask's probability being 0; no logits are kept."""
        return linear_cross_entropy(*self.head(hidden_MD), target_M, charge_M)

    def head(self, hidden_MD: Tensor, sigma_M: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """normed_MD, weight_VD and bias_V, which make logits_MV."""
        cond = self.conditioning(sigma_M)
        normed_MD, weight_VD, bias_V = self.output_layer(hidden_MD, cond, self.shape.mask_id)
        return normed_MD.to(self.dtype), weight_VD, bias_V

    def conditioning(self, sigma: Tensor | None = None) -> Tensor | None:
        """(..., C) of sigma (...), by default of 0; AR has none."""
        return None if self.sigma_map is None else F.silu(self.sigma_map(sigma))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Dropout off and no gradients within."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


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
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )
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
        q_BHRK = self._by_head(_linear(normed_BRD, query))
        k_BHSK, v_BHSK = map(self._by_head, _linear(normed_BSD, key_value).chunk(2, dim=-1))
        return rotate(q_BHRK, rotary), rotate(k_BHSK, rotary), v_BHSK

    def transform(self, x: Tensor, attended: Tensor, modulation: Modulation) -> Tensor:
        """The residual stream after this layer, token by token; (..., D)."""
        x = x + self._drop(_gated_linear(attended, self.attn_out, modulation.gate1))
        normed = _modulated_norm(x, self.norm2, modulation.shift2, modulation.scale2)
        widen, gelu, narrow = (cast(nn.Linear, part) for part in self.mlp)
        widened = gelu(_linear(normed.to(attended.dtype), widen.weight, widen.bias))
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
        return _linear(x, gate[:, None] * linear.weight, bias)
    return gate * _linear(x, linear.weight, linear.bias)


# Weights are cast to what they are multiplied with; in float32 nothing is.


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x, weight.to(x.dtype), None if bias is None else bias.to(x.dtype))
