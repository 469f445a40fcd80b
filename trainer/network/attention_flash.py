"""flash-attn's kernel (Dao 2023, arXiv 2307.08691), where it is installed: causal or full attention.

Serves AR, MDLM, SEDD and sampling with a cache; needs a GPU and half precision. Not block diffusion's
training, whose mask is neither. Its layout is (B, S, H, K).
Shapes: as in trainer/network/attention.py.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

from torch import Tensor

from trainer.network.attention import Layout, Recall, by_copy, in_a_row, recall_densely


@cache
def installed() -> bool:
    return find_spec("flash_attn") is not None


def kernel() -> Callable[..., Any]:
    from flash_attn import flash_attn_func

    return flash_attn_func


def flash(q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
    """o_BHRK of a causal or full layout, R = S. Raises ValueError of another."""
    if not layout.causal and not layout.full:
        raise ValueError(f"flash attends causally or fully, not by blocks of {layout.block_size}")
    q, k, v = (by_copy(x, layout.copies).transpose(1, 2) for x in (q_BHRK, k_BHSK, v_BHSK))
    return in_a_row(kernel()(q, k, v, causal=layout.causal).transpose(1, 2), layout.copies)


def recall_by_flash(q_BHSK: Tensor, k_BHWK: Tensor, v_BHWK: Tensor, recall: Recall) -> Tensor:
    """One block, or tokens one by one; several blocks of several tokens need a mask, and are left to torch.

    The last row is aligned to the last key; window_size (w - 1, 0): the w keys that end with a row's own.
    """
    if not recall.full and recall.block_size > 1:
        return recall_densely(q_BHSK, k_BHWK, v_BHWK, recall)
    q, k, v = (x.transpose(1, 2) for x in (q_BHSK, k_BHWK, v_BHWK))
    if recall.full:
        return kernel()(q, k, v, causal=False).transpose(1, 2)
    return kernel()(q, k, v, causal=True, window_size=(recall.window - 1, 0)).transpose(1, 2)
