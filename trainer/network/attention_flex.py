"""torch's FlexAttention: the mask as a rule, so that blocks of it which nobody reads are never computed.

Compiled, so for a GPU; torch has no backward pass of it on a CPU (pytorch#169224).
Shapes: as in trainer/network/attention.py.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from trainer.network import captures
from trainer.network.attention import Layout
from trainer.network.captures import Kept

SHAPES = 64  # of passes in one process; beyond, torch would compute every score
Rule = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # batch, head, query, key: places among S


def flex(q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
    """o_BHRK, as trainer.network.attention.dense has it."""
    raised_limit()
    rows_keys = (q_BHRK.shape[2], k_BHSK.shape[2])
    return compiled()(q_BHRK, k_BHSK, v_BHSK, block_mask=block_mask(layout, *rows_keys, q_BHRK.device))


def rule(layout: Layout) -> Rule:
    """trainer.network.attention.allowed by the places of a query and a key, copies kept apart."""
    noisy, num_noisy, block_size = max(1, layout.noisy), layout.num_noisy, layout.block_size

    def block(place: Tensor) -> Tensor:
        return torch.where(place < num_noisy, place % noisy, place - num_noisy) // block_size

    def may_read(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        query_clean, key_clean = query >= num_noisy, key >= num_noisy
        same_copy = (query // noisy) == (key // noisy)
        own_noisy = ~query_clean & ~key_clean & same_copy & (block(query) == block(key))
        clean_before = key_clean & (block(key) < block(query))
        clean_own = key_clean & query_clean & (block(key) == block(query))
        return own_noisy | clean_before | clean_own

    return may_read


@Kept
def block_mask(layout: Layout, rows: int, keys: int, device: torch.device) -> BlockMask:
    """Of the first `rows` of the layout's tokens."""
    with torch.inference_mode(False):  # it is kept: made by an evaluation, it must still serve training
        return create_block_mask(rule(layout), None, None, rows, keys, device=device)


@cache
def compiled() -> Callable[..., Any]:
    """For each shape anew, and a run has more of them than torch compiles by itself: batches and what is left
    over of a split, all rows and those of the last layer, with gradients and without."""
    return captures.compiled(flex_attention, dynamic=False)


def raised_limit() -> None:
    """For each thread: torch 2.13 keeps what is configured by threads, and a run is trained in its own."""
    config = torch._dynamo.config
    if config.recompile_limit < SHAPES:
        config.recompile_limit = SHAPES
