"""J networks of equal shape computed as one: every parameter has a leading axis of trials.

A product of each is one batched product of all, attention has the trials in its batch; at batch 8 a step on a
GPU is the starting of kernels, and J trials start as many as one. Equal to a `Denoiser` each but for the
order of sums. The condition is a constant: of networks that are not told their noise. Shapes: J trials, B
batch, S tokens of a pass, R rows that are read off, N = B * S or B * R, M chosen rows of a trial, D width, H
heads, K head size, C width of the conditioning, V vocabulary."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.network.attention import Layout
from trainer.network.dit import DiT
from trainer.network.gelu import gelu
from trainer.network.layers import rotate
from trainer.network.stacked_cross_entropy import stacked_cross_entropy

Drop = Callable[[Tensor, bool], Tensor]  # dropout of (J, N, D), or where true of (J, M, D)


class Stacked:
    """Their forward pass, on parameters that lie elsewhere."""

    def __init__(self, model: DiT, parameters: Mapping[str, Tensor]):
        """model: any of them, for all that they have in common. parameters: by its names, each (J, ...)."""
        assert model.sigma_map is not None, "only networks with a condition are stacked"
        self._model, self._parameters = model, parameters
        self._sinusoids = model.sigma_map.sinusoids
        self._eps = model.output_layer.norm_final.eps

    def losses(
        self,
        tokens_JBS: Tensor,
        layout: Layout,
        chosen_JM: Tensor,
        target_JM: Tensor,
        charge_JM: Tensor,
        drop: Drop,
    ) -> Tensor:
        """loss_J, sums over M of the charge times -log p(target). chosen_JM: places among B * R."""
        cond_J1C = self._conditioning()
        hidden_JMD = self._hidden(tokens_JBS, layout, chosen_JM, cond_J1C, drop)
        own = self._of("output_layer.")
        shift_JD, scale_JD = _modulation(own, cond_J1C, 2)
        normed_JMD = _norm(hidden_JMD, own["norm_final.weight"], shift_JD, scale_JD, self._eps)
        mask = torch.full((), self._model.shape.mask_id, device=hidden_JMD.device)
        bias_JV = own["linear.bias"].index_fill(1, mask, -torch.inf)
        normed_JMD = normed_JMD.to(self._model.dtype)
        return stacked_cross_entropy(normed_JMD, own["linear.weight"], bias_JV, target_JM, charge_JM)

    def _hidden(
        self, tokens_JBS: Tensor, layout: Layout, chosen_JM: Tensor, cond_J1C: Tensor, drop: Drop
    ) -> Tensor:
        """hidden_JMD; the last layer computes no more than is chosen."""
        model, read = self._model, layout.num_read
        rotary = model.rotary_emb(layout.positions(tokens_JBS.device), model.dtype)
        trials, batch, tokens = tokens_JBS.shape
        words = self._parameters["vocab_embed.embedding"]
        first_J11 = torch.arange(trials, device=tokens_JBS.device)[:, None, None] * words.shape[1]
        x_JND = F.embedding((tokens_JBS + first_J11).flatten(1), words.flatten(0, 1))
        layers = [_Layer(self, i, cond_J1C) for i in range(model.shape.layers)]
        for layer in layers[:-1]:
            o_JND = self._attended(layer.project(x_JND, batch, tokens, rotary), layout, trials)
            x_JND = layer.transform(x_JND, o_JND, drop, False)
        o_JND = self._attended(layers[-1].project(x_JND, batch, read, rotary), layout, trials)
        x_JND = x_JND.unflatten(1, (batch, tokens))[:, :, :read].flatten(1, 2)
        place_JM1 = chosen_JM[..., None].expand(-1, -1, x_JND.shape[-1])
        return layers[-1].transform(x_JND.gather(1, place_JM1), o_JND.gather(1, place_JM1), drop, True)

    def _attended(self, qkv: tuple[Tensor, Tensor, Tensor], layout: Layout, trials: int) -> Tensor:
        """o_JND of what has the trials in its batch."""
        return (
            self._model.attention(*qkv, layout)
            .transpose(1, 2)
            .flatten(2)
            .unflatten(0, (trials, -1))
            .flatten(1, 2)
        )

    def _conditioning(self) -> Tensor:
        own = self._of("sigma_map.mlp.")
        x_J1C = self._sinusoids.expand(len(own["0.weight"]), 1, -1)
        h_J1C = F.silu(_linear(x_J1C, own["0.weight"], own["0.bias"]))
        return F.silu(_linear(h_J1C, own["2.weight"], own["2.bias"]))

    def _of(self, part: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(part): each for name, each in self._parameters.items() if name.startswith(part)
        }


class _Layer:
    """Block of trainer/network/layers.py, of all trials."""

    def __init__(self, of: Stacked, index: int, cond_J1C: Tensor):
        self._own = of._of(f"blocks.{index}.")
        self._heads, self._dtype, self._eps = of._model.shape.heads, of._model.dtype, of._eps
        self._modulation = _Modulation(*_modulation(self._own, cond_J1C, 6))

    def project(
        self, x_JND: Tensor, batch: int, rows: int, rotary: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """q, of the first so many rows of a sequence, k and v, of (J * B, H, rows or S, K)."""
        width, by = x_JND.shape[-1], self._modulation
        normed_JND = _norm(x_JND, self._own["norm1.weight"], by.shift1, by.scale1, self._eps).to(self._dtype)
        query, key_value = self._own["attn_qkv.weight"].split([width, 2 * width], dim=1)
        read_JND = normed_JND.unflatten(1, (batch, -1))[:, :, :rows].flatten(1, 2)
        q = self._by_head(_linear(read_JND, query), batch)
        k, v = (self._by_head(each, batch) for each in _linear(normed_JND, key_value).chunk(2, dim=-1))
        return rotate(q, rotary), rotate(k, rotary), v

    def transform(self, x_JND: Tensor, attended_JND: Tensor, drop: Drop, chosen: bool) -> Tensor:
        own, by = self._own, self._modulation
        x_JND = x_JND + drop(_linear(attended_JND, by.gate1[..., None] * own["attn_out.weight"]), chosen)
        normed_JND = _norm(x_JND, own["norm2.weight"], by.shift2, by.scale2, self._eps).to(self._dtype)
        widened = gelu(_linear(normed_JND, own["mlp.0.weight"], own["mlp.0.bias"]))
        weight, bias = by.gate2[..., None] * own["mlp.2.weight"], by.gate2 * own["mlp.2.bias"]
        return x_JND + drop(_linear(widened, weight, bias), chosen)

    def _by_head(self, x_JND: Tensor, batch: int) -> Tensor:
        return x_JND.unflatten(1, (batch, -1)).flatten(0, 1).unflatten(-1, (self._heads, -1)).transpose(1, 2)


class _Modulation(NamedTuple):
    """Of one layer, each (J, D)."""

    shift1: Tensor
    scale1: Tensor
    gate1: Tensor
    shift2: Tensor
    scale2: Tensor
    gate2: Tensor


def _modulation(own: Mapping[str, Tensor], cond_J1C: Tensor, parts: int) -> tuple[Tensor, ...]:
    made_J1D = _linear(cond_J1C, own["adaLN_modulation.weight"], own["adaLN_modulation.bias"])
    return made_J1D.squeeze(1).chunk(parts, dim=-1)


def _norm(x_JND: Tensor, weight_JD: Tensor, shift_JD: Tensor, scale_JD: Tensor, eps: float) -> Tensor:
    normed_JND = F.layer_norm(x_JND, x_JND.shape[-1:], eps=eps)
    return torch.addcmul(shift_JD[:, None], normed_JND, (weight_JD * (1 + scale_JD))[:, None])


def _linear(x_JND: Tensor, weight_JOD: Tensor, bias_JO: Tensor | None = None) -> Tensor:
    weight_JDO = weight_JOD.to(x_JND.dtype).transpose(1, 2)
    if bias_JO is None:
        return torch.bmm(x_JND, weight_JDO)
    return torch.baddbmm(bias_JO.to(x_JND.dtype)[:, None], x_JND, weight_JDO)
