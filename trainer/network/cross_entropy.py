"""The head and its cross-entropy in one, some rows at a time: no more than CHUNK * V numbers are ever kept.

d loss / d logits is charge * (softmax - one-hot): it is at hand when the loss is, so the logits are turned
into it in their place, and used up, before those of the next rows are made.
Shapes: M rows, D width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from trainer.network.products import cast_linear, product

CHUNK = 512  # rows at once: fewer are slower, more are not faster


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
    weight_VD, bias_V, dtype = weight_VD.to(hidden_MD.dtype), bias_V.to(hidden_MD.dtype), weight_VD.dtype
    return charge_M * torch.cat(
        [
            _of_targets(_log_probs(hidden, weight_VD, bias_V, dtype), target)
            for hidden, target in zip(hidden_MD.split(CHUNK), target_M.split(CHUNK), strict=True)
        ]
    )


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
    d_weight_VD, d_bias_V = torch.zeros_like(weight_VD), torch.zeros_like(bias_V)
    low, dtype = hidden_MD.dtype, weight_VD.dtype
    weight_VD, bias_V = weight_VD.to(low), bias_V.to(low)
    rows = (x.split(CHUNK) for x in (hidden_MD, target_M, charge_M, nats_M, d_hidden_MD))
    for hidden, target, charge, nats, d_hidden in zip(*rows, strict=True):
        log_probs = _log_probs(hidden, weight_VD, bias_V, dtype)
        nats.copy_(_of_targets(log_probs, target))
        d_logits = log_probs.exp_()
        d_logits[torch.arange(len(target), device=target.device), target] -= 1
        d_bias_V.addmv_(d_logits.T, charge)
        # The charge is put on the D-sized side of each product.
        d_logits = d_logits.to(low)
        torch.mul(product(d_logits, weight_VD), charge[:, None], out=d_hidden)
        charged = (charge[:, None] * hidden).to(low)
        if low == dtype:
            d_weight_VD.addmm_(d_logits.T, charged)
        else:
            d_weight_VD += product(d_logits.T, charged)
    return nats_M, d_hidden_MD, d_weight_VD, d_bias_V


def _log_probs(hidden_MD: Tensor, weight_VD: Tensor, bias_V: Tensor, dtype: torch.dtype) -> Tensor:
    """log_probs_MV, of dtype."""
    return cast_linear(hidden_MD, weight_VD, bias_V).log_softmax(dim=-1, dtype=dtype)


def _of_targets(log_probs_MV: Tensor, target_M: Tensor) -> Tensor:
    """nats_M."""
    return -log_probs_MV.gather(1, target_M[:, None]).squeeze(1)
