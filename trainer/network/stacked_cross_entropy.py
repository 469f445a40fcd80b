"""The cross-entropy of J heads at once: cross_entropy.py with a leading axis of trials, summed for each.

Shapes: J trials, M rows of a trial, D width, V vocabulary.
"""

from typing import Any

import torch
from torch import Tensor

from trainer.network.cross_entropy import in_pieces, nats_of


def stacked_cross_entropy(
    hidden_JMD: Tensor, weight_JVD: Tensor, bias_JV: Tensor, target_JM: Tensor, charge_JM: Tensor
) -> Tensor:
    """loss_J, sums over M of charge * -log softmax of the target. Differentiable once."""
    return _StackedCrossEntropy.apply(
        hidden_JMD, weight_JVD, bias_JV, target_JM, charge_JM.to(weight_JVD.dtype)
    )


class _StackedCrossEntropy(torch.autograd.Function):
    """Gradients are made with the losses: no more than J * CHUNK * V numbers are ever kept."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden_JMD: Tensor,
        weight_JVD: Tensor,
        bias_JV: Tensor,
        target_JM: Tensor,
        charge_JM: Tensor,
    ) -> Tensor:
        low, dtype = hidden_JMD.dtype, weight_JVD.dtype
        loss_J = charge_JM.new_zeros(len(charge_JM))
        d_hidden_JMD = torch.empty_like(hidden_JMD)
        d_weight_JVD, d_bias_JV = torch.zeros_like(weight_JVD), torch.zeros_like(bias_JV)
        weight_JVD, bias_J1V = weight_JVD.to(low), bias_JV.to(low)[:, None]
        parts = (in_pieces(x, dim=1) for x in (hidden_JMD, target_JM, charge_JM, d_hidden_JMD))
        for hidden, target, charge, d_hidden in zip(*parts, strict=True):
            logits = torch.baddbmm(bias_J1V, hidden, weight_JVD.transpose(1, 2))
            probs, place = logits.softmax(dim=-1, dtype=dtype), target[..., None]
            loss_J += (charge * nats_of(logits, probs, place).squeeze(2)).sum(dim=1)
            d_logits = probs.scatter_add_(2, place, -torch.ones_like(place, dtype=dtype))
            d_bias_JV += torch.bmm(charge[:, None], d_logits).squeeze(1)
            # The charge is put on the D-sized side of each product.
            d_logits = d_logits.to(low)
            torch.mul(torch.bmm(d_logits, weight_JVD), charge[..., None], out=d_hidden)
            charged = (charge[..., None] * hidden).to(low)
            if low == dtype:
                d_weight_JVD.baddbmm_(d_logits.transpose(1, 2), charged)
            else:
                d_weight_JVD += torch.bmm(d_logits.transpose(1, 2), charged)
        ctx.save_for_backward(d_hidden_JMD, d_weight_JVD, d_bias_JV)
        return loss_J

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad_J: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden_JMD, d_weight_JVD, d_bias_JV = ctx.saved_tensors
        grad_J11 = grad_J[:, None, None]
        return (
            d_hidden_JMD * grad_J11.to(d_hidden_JMD.dtype),
            d_weight_JVD * grad_J11,
            d_bias_JV * grad_J[:, None],
            None,
            None,
        )
