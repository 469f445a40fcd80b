"""The network written plainly: nothing folded, both halves in full, the head on every row.

Takes a Denoiser's state dict, so that fast and slow share their weights.
"""

import math

import torch
import torch.nn.functional as F

from tests.reference.attention import attend


def logits(
    weights: dict,
    heads: int,
    tokens_BS: torch.Tensor,
    positions_S: torch.Tensor,
    mask_SS: torch.Tensor,
    sigma_B: torch.Tensor | None = None,
):
    """logits_BSV, the mask's own included, of a pass in which mask_SS says who reads whom.

    sigma_B is what the network is told of its noise: nothing, and it is 0.
    """
    width = weights["vocab_embed.embedding"].shape[1]
    x = weights["vocab_embed.embedding"][tokens_BS]
    condition = _condition(weights, torch.zeros(len(x)) if sigma_B is None else sigma_B)
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("blocks."))
    for i in range(layers):
        own = {n.removeprefix(f"blocks.{i}."): w for n, w in weights.items() if n.startswith(f"blocks.{i}.")}
        shift1, scale1, gate1, shift2, scale2, gate2 = _modulation(own, condition, 6, width)
        h = _norm(x, own["norm1.weight"]) * (1 + scale1) + shift1
        qkv = (h @ own["attn_qkv.weight"].T).unflatten(-1, (3, heads, -1))
        q, k, v = (qkv[:, :, j].transpose(1, 2) for j in range(3))
        inv_freq = weights["rotary_emb.inv_freq"]
        o = attend(_rotate(q, positions_S, inv_freq), _rotate(k, positions_S, inv_freq), v, mask_SS)
        x = x + gate1 * (o.transpose(1, 2).flatten(2) @ own["attn_out.weight"].T)
        h = _norm(x, own["norm2.weight"]) * (1 + scale2) + shift2
        h = _gelu_tanh(h @ own["mlp.0.weight"].T + own["mlp.0.bias"])
        x = x + gate2 * (h @ own["mlp.2.weight"].T + own["mlp.2.bias"])
    head = {n.removeprefix("output_layer."): w for n, w in weights.items() if n.startswith("output_layer.")}
    shift, scale = _modulation(head, condition, 2, width)
    h = _norm(x, head["norm_final.weight"]) * (1 + scale) + shift
    return h @ head["linear.weight"].T + head["linear.bias"]


def _condition(weights, sigma_B):
    """silu(sigma_map(sigma)) of every sequence; None for AR."""
    if "sigma_map.mlp.0.weight" not in weights:
        return None
    sigma_B1 = sigma_B[:, None].to(weights["sigma_map.mlp.0.bias"])
    frequencies = torch.exp(-math.log(10_000) * torch.arange(128) / 128).to(sigma_B1)
    sinusoids = torch.cat([(sigma_B1 * frequencies).cos(), (sigma_B1 * frequencies).sin()], dim=1)
    h = F.silu(sinusoids @ weights["sigma_map.mlp.0.weight"].T + weights["sigma_map.mlp.0.bias"])
    return F.silu(h @ weights["sigma_map.mlp.2.weight"].T + weights["sigma_map.mlp.2.bias"])


def _modulation(own, condition, parts, width):
    if condition is None:
        return (0.0, 0.0, 1.0, 0.0, 0.0, 1.0)[:parts]
    modulation = condition @ own["adaLN_modulation.weight"].T + own["adaLN_modulation.bias"]
    return modulation[:, None].split(width, dim=-1)


def _norm(x, weight):
    centred = x - x.mean(dim=-1, keepdim=True)
    return centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt() * weight


def _gelu_tanh(x):
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _rotate(x_BHSK, positions_S, inv_freq):
    angles = positions_S[:, None] * inv_freq
    first, second = x_BHSK.chunk(2, dim=-1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
