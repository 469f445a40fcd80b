"""The head and its cross-entropy in one, some rows at a time: no more than CHUNK * V numbers are ever kept.

d loss / d logits is charge * (softmax - one-hot): it is at hand when the loss is, so it is made with it, of
one exponential a logit, and used up before the logits of the next rows are made.
Shapes: M rows, D width, V vocabulary, W the same rounded up to whole vectors.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.network.products import cast_linear, product

CHUNK = 512  # rows at once: fewer are slower, more are not faster
WHOLE = 16  # a product whose rows are no multiple of it takes up to half as long again


def linear_cross_entropy(
    hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, target_M: Tensor, charge_M: Tensor
) -> Tensor:
    """loss_M = charge * -log softmax(hidden @ weight.T + bias) of the target, in nats times charge.

    Differentiable once, in hidden, weight and bias. A sum over M is what it is made for: rows whose losses
    count differently belong into the charge, else their logits are made a second time. Products are in the
    precision of hidden; softmax, losses and sums of gradients in that of weight.
    """
    charge_M = charge_M.to(weight_VD.dtype)  # a network in float64 has it so throughout
    if torch.is_grad_enabled():
        return _LinearCrossEntropy.apply(hidden_MD, weight_VD, bias_V, target_M, charge_M)
    dtype, (weight_WD, bias_W) = weight_VD.dtype, whole(weight_VD, bias_V, hidden_MD.dtype)
    nats = []
    for hidden, target in zip(*(in_pieces(x) for x in (hidden_MD, target_M)), strict=True):
        log_probs = cast_linear(hidden, weight_WD, bias_W).log_softmax(dim=-1, dtype=dtype)
        nats.append(-log_probs.gather(1, target[:, None]).squeeze(1))
    return charge_M * torch.cat(nats)


class _LinearCrossEntropy(torch.autograd.Function):
    """Gradients are made with the losses, for an equal weight of every row."""

    @staticmethod
    def forward(
        ctx: Any, hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, target_M: Tensor, charge_M: Tensor
    ) -> Tensor:
        nats_M, *gradients = _with_gradients(hidden_MD, weight_VD, bias_V, target_M, charge_M)
        ctx.save_for_backward(hidden_MD, weight_VD, bias_V, target_M, charge_M, *gradients)
        return charge_M * nats_M

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_M: Tensor) -> tuple[Tensor | None, ...]:
        hidden_MD, weight_VD, bias_V, target_M, charge_M, *gradients = ctx.saved_tensors
        scale = grad_M[:1].sum()  # 0 where there are no rows
        if not (grad_M == scale).all():
            again = _with_gradients(hidden_MD, weight_VD, bias_V, target_M, charge_M * grad_M)
            return *again[1:], None, None
        return *(each * scale for each in gradients), None, None


def summed_cross_entropy(
    hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, target_M: Tensor, charge_M: Tensor
) -> Tensor:
    """The sum over M of the same: a scalar whose gradient nobody has to look at, as a CUDA graph asks."""
    return _SummedCrossEntropy.apply(hidden_MD, weight_VD, bias_V, target_M, charge_M.to(weight_VD.dtype))


class _SummedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, target_M: Tensor, charge_M: Tensor
    ) -> Tensor:
        nats_M, *gradients = _with_gradients(hidden_MD, weight_VD, bias_V, target_M, charge_M)
        ctx.save_for_backward(*gradients)
        return (charge_M * nats_M).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return *(each * grad for each in ctx.saved_tensors), None, None


def _with_gradients(
    hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, target_M: Tensor, charge_M: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """nats_M, and the gradients of sum(charge * nats) by hidden, weight and bias."""
    nats_M = torch.empty_like(charge_M)
    d_hidden_MD = torch.empty_like(hidden_MD)
    low, dtype, words = hidden_MD.dtype, weight_VD.dtype, len(bias_V)
    weight_WD, bias_W = whole(weight_VD, bias_V, low)
    d_weight_WD, d_bias_W = (torch.zeros_like(each, dtype=dtype) for each in (weight_WD, bias_W))
    rows = (in_pieces(x) for x in (hidden_MD, target_M, charge_M, nats_M, d_hidden_MD))
    for hidden, target, charge, nats, d_hidden in zip(*rows, strict=True):
        logits, place = cast_linear(hidden, weight_WD, bias_W), target[:, None]
        probs = logits.softmax(dim=-1, dtype=dtype)
        nats.copy_(nats_of(logits, probs, place).squeeze(1))
        d_logits = probs.scatter_add_(1, place, -torch.ones_like(place, dtype=dtype))
        d_bias_W.addmv_(d_logits.T, charge)
        # The charge is put on the D-sized side of each product.
        d_logits = d_logits.to(low)
        torch.mul(product(d_logits, weight_WD), charge[:, None], out=d_hidden)
        charged = (charge[:, None] * hidden).to(low)
        if low == dtype:
            d_weight_WD.addmm_(d_logits.T, charged)
        else:
            d_weight_WD += product(d_logits.T, charged)
    return nats_M, d_hidden_MD, d_weight_WD[:words], d_bias_W[:words]


def whole(weight_VD: Tensor, bias_V: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """weight_WD and bias_W of this dtype: the words that are added have a probability of 0."""
    weight_VD, bias_V = weight_VD.to(dtype), bias_V.to(dtype)
    added = -len(bias_V) % WHOLE
    if not added:
        return weight_VD, bias_V
    return F.pad(weight_VD, (0, 0, 0, added)), F.pad(bias_V, (0, added), value=-math.inf)


def in_pieces(x_M: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Rows, at most CHUNK at once, in pieces that differ by one at most."""
    return x_M.tensor_split(max(1, -(-x_M.shape[dim] // CHUNK)), dim)


def nats_of(logits: Tensor, probs: Tensor, place: Tensor) -> Tensor:
    """-log of the probability at each place: by the likeliest word's, which is never too small for a
    logarithm."""
    log_total = logits.amax(-1, keepdim=True) - probs.amax(-1, keepdim=True).log()
    return log_total - logits.gather(-1, place)
