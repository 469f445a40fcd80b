"""Products of matrices. In bfloat16 what is multiplied is rounded to it, and so is what comes out.

Sums are in float32, as the instructions for it have them. For a processor that has none torch multiplies
bfloat16 in loops, at a seventh of float32's speed; here such a product is float32's, of the same rounded
numbers: equal up to the order of its sum.
Shapes: any that the functions of torch take; B batch, H heads, R rows, S keys, K head size.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.network.hardware import bfloat16_by

EMULATED = bfloat16_by("cpu") is None


def cast_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias. Weights are cast to what they are multiplied with; in float32 nothing is."""
    weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
    if widened(x):
        return F.linear(x.float(), weight.float(), None if bias is None else bias.float()).to(x.dtype)
    return F.linear(x, weight, bias)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a @ b, of one dtype."""
    return (a.float() @ b.float()).to(a.dtype) if widened(a) else a @ b


def attention_kernel(
    q_BHRK: Tensor,
    k_BHSK: Tensor,
    v_BHSK: Tensor,
    allowed_RS: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    """o_BHRK, by torch's kernel. The softmax is not rounded in between."""
    if widened(q_BHRK):
        q, k, v = q_BHRK.float(), k_BHSK.float(), v_BHSK.float()
        return attention_kernel(q, k, v, allowed_RS, is_causal).to(q_BHRK.dtype)
    return F.scaled_dot_product_attention(q_BHRK, k_BHSK, v_BHSK, attn_mask=allowed_RS, is_causal=is_causal)


def widened(x: Tensor) -> bool:
    """Whether a product of x goes by way of float32."""
    return EMULATED and x.dtype == torch.bfloat16 and x.is_cpu
