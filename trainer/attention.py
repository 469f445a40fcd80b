"""Which token reads which, once, and the backends that compute it.

Every pass of the network is one `Layout`: K noisy copies of a sequence, then its clean tokens.

    training     noisy = L, clean = L - L'   [x_t ; x_0]; nobody reads the last clean block
    MDLM         noisy = L, clean = 0        the same at L' = L
    evaluation   copies = K                  K masks of one sequence share its clean tokens
    AR           clean = L, block_size = 1   causal
    sampling     clean = tokens so far       causal from block to block

Shapes: B batch, H heads, K head size, R rows that ask (queries), S all tokens of a pass (keys).
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Layout(NamedTuple):
    """S = copies * noisy + clean tokens, in this order; each part at positions 0, 1, 2, ..."""

    noisy: int  # tokens of one noisy copy
    clean: int
    block_size: int
    copies: int = 1

    @property
    def num_noisy(self) -> int:
        return self.copies * self.noisy

    @property
    def num_read(self) -> int:
        """Rows of a pass that are read off: all noisy ones, or the clean ones where nothing is noisy."""
        return self.num_noisy or self.clean

    def positions(self, device: torch.device) -> Tensor:
        """positions_S, for the rotary embedding."""
        noisy = torch.arange(self.noisy, device=device).repeat(self.copies)
        return torch.cat([noisy, torch.arange(self.clean, device=device)])


def noised(length: int, block_size: int, copies: int = 1) -> Layout:
    """The layout of [x_t ; x_0] without the last clean block, which no block reads."""
    return Layout(noisy=length, clean=length - block_size, block_size=block_size, copies=copies)


def block_causal(length: int, block_size: int) -> Layout:
    """Tokens that read their own block and all before it; at block size 1, plain causal attention."""
    return Layout(noisy=0, clean=length, block_size=block_size)


def allowed(query_block: Tensor, query_clean: Tensor, key_block: Tensor, key_clean: Tensor) -> Tensor:
    """The rule (Arriola et al. 2025, section 3.1), for tokens of one copy and the clean ones; broadcasts.

    A noisy token reads its own noisy block and the clean blocks before it; a clean token the clean
    blocks up to its own, and never a noisy one.
    """
    own_noisy_block = ~query_clean & ~key_clean & (query_block == key_block)
    clean_before = key_clean & (key_block < query_block)
    clean_own = key_clean & query_clean & (key_block == query_block)
    return own_noisy_block | clean_before | clean_own


@lru_cache(maxsize=64)
def dense_mask(layout: Layout, device: torch.device) -> Tensor:
    """allowed_SS, bool, of the layout with one copy."""
    with torch.inference_mode(False):  # it is kept: made by an evaluation, it must still serve training
        single = layout._replace(copies=1)
        block_S = single.positions(device) // layout.block_size
        clean_S = torch.arange(len(block_S), device=device) >= layout.noisy
        return allowed(block_S[:, None], clean_S[:, None], block_S, clean_S)


# (q_BHRK, k_BHSK, v_BHSK, layout) -> o_BHRK. R = S, or the layout's num_read: its first rows.
Attention = Callable[[Tensor, Tensor, Tensor, Layout], Tensor]


def dense(q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
    """torch's scaled_dot_product_attention under a dense mask; any device, any dtype."""
    mask_SS = dense_mask(layout, q_BHRK.device)
    if layout.copies == 1:
        return F.scaled_dot_product_attention(q_BHRK, k_BHSK, v_BHSK, attn_mask=mask_SS[: q_BHRK.shape[2]])
    batch, heads, rows, size = q_BHRK.shape
    copies, noisy = layout.copies, layout.num_noisy

    def by_copy(x_BHSK: Tensor) -> Tensor:
        """The noisy rows, with the copies moved next to the batch."""
        split = x_BHSK[:, :, :noisy].unflatten(2, (copies, layout.noisy))
        return split.transpose(1, 2).flatten(0, 1)

    def with_clean(x_BHSK: Tensor) -> Tensor:
        """The keys (or values) of each copy: its own noisy ones, then the clean ones that all share."""
        return torch.cat([by_copy(x_BHSK), x_BHSK[:, :, noisy:].repeat_interleave(copies, dim=0)], dim=2)

    o_noisy = F.scaled_dot_product_attention(
        by_copy(q_BHRK), with_clean(k_BHSK), with_clean(v_BHSK), attn_mask=mask_SS[: layout.noisy]
    )
    o_noisy = o_noisy.unflatten(0, (batch, copies)).transpose(1, 2).reshape(batch, heads, noisy, size)
    if rows == noisy:
        return o_noisy
    o_clean = F.scaled_dot_product_attention(
        q_BHRK[:, :, noisy:],
        k_BHSK[:, :, noisy:],
        v_BHSK[:, :, noisy:],
        attn_mask=mask_SS[layout.noisy :, layout.noisy :],
    )
    return torch.cat([o_noisy, o_clean], dim=2)
