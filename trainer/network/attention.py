"""Which token reads which, once, and the backends that compute it.

Every pass of the network is one `Layout`: K noisy copies of a sequence, then its clean tokens.

    training     noisy = L, clean = L - L'   [x_t ; x_0]; nobody reads the last clean block
    MDLM         noisy = L, clean = 0        the same at L' = L
    evaluation   copies = K                  K masks of one sequence share its clean tokens
    complement   copies = 2                  a mask and its complement, in training
    AR           clean = L, block_size = 1   causal

Sampling with a `Cache` makes passes of another kind: new blocks after those it has stored, a `Recall`.

Which backend serves which pass is chosen in trainer/network/backends.py.
Shapes: B batch, H heads, E = B * H, K head size, R rows that ask (queries), S all tokens of a pass (keys), W
tokens of the window, T of a tile.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.network.captures import Kept
from trainer.network.products import attention_kernel, widened


class Layout(NamedTuple):
    """S = copies * noisy + clean tokens, in this order; each part at positions 0, 1, 2, ..."""

    noisy: int  # tokens of one noisy copy
    clean: int
    block_size: int
    copies: int = 1

    @property
    def num_noisy(self) -> int:
        """Noisy tokens of the pass, over all copies."""
        return self.copies * self.noisy

    @property
    def causal(self) -> bool:
        """Every token reads those up to itself and no other."""
        return not self.noisy and self.block_size == 1

    @property
    def full(self) -> bool:
        """Every token of a copy reads every other: one block, with no clean tokens beside it."""
        return not self.clean and self.block_size >= self.noisy

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


@Kept
def dense_mask(layout: Layout, device: torch.device) -> Tensor:
    """allowed_SS, bool, of the layout with one copy."""
    with torch.inference_mode(False):  # it is kept: made by an evaluation, it must still serve training
        single = layout._replace(copies=1)
        block_S = single.positions(device) // layout.block_size
        clean_S = torch.arange(len(block_S), device=device) >= layout.noisy
        return allowed(block_S[:, None], clean_S[:, None], block_S, clean_S)


# (q_BHRK, k_BHSK, v_BHSK, layout) -> o_BHRK. R = S, or the layout's num_read: its first rows.
Attention = Callable[[Tensor, Tensor, Tensor, Layout], Tensor]

WHOLE = 32  # numbers of bfloat16 in a vector: a softmax over 124 takes three times as long as over 128
TILE = 64  # tokens, in whole blocks: larger tiles compute more in vain, smaller ones are more calls


def softmax_attention(
    q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, allowed_RS: Tensor | None = None
) -> Tensor:
    """o_BHRK: torch's kernel, but two products and a softmax where its backward pass is slow: bf16 on a CPU.

    Forward and backward of a layer at L = 128, batch 8, on a processor with AMX: products 21 ms, the kernel
    39 (in float32 25).
    """
    products = q_BHRK.dtype == torch.bfloat16 and q_BHRK.is_cpu and q_BHRK.requires_grad
    if not products or widened(q_BHRK):
        return attention_kernel(q_BHRK, k_BHSK, v_BHSK, allowed_RS)
    batch, heads, rows, size = q_BHRK.shape
    keys, added = k_BHSK.shape[2], -k_BHSK.shape[2] % WHOLE
    scores_RS = q_BHRK.new_zeros(rows, keys + added)
    if allowed_RS is not None:
        scores_RS[:, :keys].masked_fill_(~allowed_RS, -math.inf)
    if added:  # keys that no row reads
        scores_RS[:, keys:] = -math.inf
        k_BHSK, v_BHSK = (F.pad(x, (0, 0, 0, added)) for x in (k_BHSK, v_BHSK))
    q_ERK, k_ESK, v_ESK = (x.flatten(0, 1) for x in (q_BHRK, k_BHSK, v_BHSK))
    scores_ERS = torch.baddbmm(scores_RS, q_ERK, k_ESK.transpose(1, 2), alpha=size**-0.5)
    return torch.bmm(scores_ERS.softmax(dim=-1), v_ESK).unflatten(0, (batch, heads))


def dense(q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
    """One call under a dense mask; any device, any dtype."""
    mask_SS, noisy = dense_mask(layout, q_BHRK.device), layout.num_noisy
    if layout.copies == 1:
        return softmax_attention(q_BHRK, k_BHSK, v_BHSK, mask_SS[: q_BHRK.shape[2]])
    q, k, v = (by_copy(x[:, :, :noisy], layout.copies) for x in (q_BHRK, k_BHSK, v_BHSK))
    q_clean, k_clean, v_clean = (x[:, :, noisy:] for x in (q_BHRK, k_BHSK, v_BHSK))
    keys, values = (
        torch.cat([own, _for_copies(x, layout.copies)], dim=2) for own, x in ((k, k_clean), (v, v_clean))
    )
    o = softmax_attention(q, keys, values, mask_SS[: layout.noisy])
    o_noisy = in_a_row(o, layout.copies)
    if not q_clean.shape[2]:
        return o_noisy
    mask_CC = mask_SS[layout.noisy :, layout.noisy :]
    o_clean = softmax_attention(q_clean, k_clean, v_clean, mask_CC)
    return torch.cat([o_noisy, o_clean], dim=2)


def tiled(q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
    """The same, a tile of the text at a time: keys behind those that a tile's rows read are left out.

    A tile of noisy rows reads its own noisy keys and the clean tiles up to its place, a tile of clean rows
    the clean tiles up to itself.
    """
    tile, noisy, copies = tile_size(layout), layout.num_noisy, layout.copies
    noisy_masks, clean_masks = tile_masks(layout, q_BHRK.device)
    # Split, not sliced: the gradient of a slice is as long as what it was taken from.
    k_clean, v_clean = (x[:, :, noisy:].split(tile, dim=2) for x in (k_BHSK, v_BHSK))
    own = (by_copy(x[:, :, :noisy], copies).split(tile, dim=2) for x in (q_BHRK, k_BHSK, v_BHSK))
    o_noisy = []
    for i, (mask, q, k, v) in enumerate(zip(noisy_masks, *own, strict=False)):
        keys, values = (
            torch.cat([mine, *(_for_copies(each, copies) for each in clean[: i + 1])], dim=2)
            for mine, clean in ((k, k_clean), (v, v_clean))
        )
        o_noisy.append(softmax_attention(q, keys, values, mask))
    outputs = [in_a_row(torch.cat(o_noisy, dim=2), copies)] if o_noisy else []
    if q_BHRK.shape[2] > noisy:
        for i, (mask, q) in enumerate(zip(clean_masks, q_BHRK[:, :, noisy:].split(tile, dim=2), strict=True)):
            keys, values = (torch.cat(clean[: i + 1], dim=2) for clean in (k_clean, v_clean))
            outputs.append(softmax_attention(q, keys, values, mask))
    return torch.cat(outputs, dim=2)


def tile_size(layout: Layout) -> int:
    """TILE, rounded up to whole blocks."""
    return -(-TILE // layout.block_size) * layout.block_size


@Kept
def tile_masks(layout: Layout, device: torch.device) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Of the noisy tiles, then of the clean ones: who reads whom among the keys it meets; None: all do."""
    mask_SS, noisy, tile = dense_mask(layout, device), layout.noisy, tile_size(layout)
    noisy_masks: list[Tensor | None] = []
    clean_masks: list[Tensor | None] = []
    for first in range(0, noisy, tile):
        end = min(first + tile, noisy)
        rows_TS = mask_SS[first:end]
        keys = [rows_TS[:, first:end], rows_TS[:, noisy : noisy + first + tile]]
        noisy_masks.append(_unless_full(torch.cat(keys, dim=1)))
    for first in range(noisy, noisy + layout.clean, tile):
        clean_masks.append(_unless_full(mask_SS[first : first + tile, noisy : first + tile]))
    return noisy_masks, clean_masks


def _unless_full(mask: Tensor) -> Tensor | None:
    return None if mask.all() else mask


def by_copy(x_BHSK: Tensor, copies: int) -> Tensor:
    """The copies, one after the other in S, moved next to the batch."""
    return x_BHSK.unflatten(2, (copies, x_BHSK.shape[2] // copies)).transpose(1, 2).flatten(0, 1)


def in_a_row(x_EHSK: Tensor, copies: int) -> Tensor:
    """The reverse."""
    return x_EHSK.unflatten(0, (-1, copies)).transpose(1, 2).flatten(2, 3)


def _for_copies(x_BHSK: Tensor, copies: int) -> Tensor:
    """What all copies share, once for each."""
    return x_BHSK[:, None].expand(-1, copies, -1, -1, -1).flatten(0, 1)


class Recall(NamedTuple):
    """A pass over new tokens, whole blocks of them, that read stored ones and each other."""

    stored: int  # keys that stand before the new ones
    new: int
    block_size: int
    window: int  # tokens that the last row of a block reads, its own block included

    @property
    def full(self) -> bool:
        """One block: every row reads every key."""
        return self.new == self.block_size

    def mask(self, device: torch.device) -> Tensor | None:
        """allowed_SW; None: all."""
        if self.full:
            return None
        block = torch.arange(self.stored + self.new, device=device) // self.block_size
        query, reach = block[self.stored :, None], self.window // self.block_size
        return (block <= query) & (block > query - reach)


# (q_BHSK, k_BHWK, v_BHWK, recall) -> o_BHSK.
Recalling = Callable[[Tensor, Tensor, Tensor, Recall], Tensor]


def recall_densely(q_BHSK: Tensor, k_BHWK: Tensor, v_BHWK: Tensor, recall: Recall) -> Tensor:
    """One call under a dense mask; any device, any dtype."""
    return softmax_attention(q_BHSK, k_BHWK, v_BHWK, recall.mask(q_BHSK.device))


class Cache:
    """Keys and values of finished blocks, as far back as a window of whole blocks reaches.

    Past the window a block reads the `window` tokens that end with its own; those before it were stored
    when they read theirs, so that nothing is ever computed again (as in the public BD3-LM code). Keys
    are stored rotated to their place in the text: rotary attention reads differences of places alone.
    """

    def __init__(self, window: int, block_size: int, recalling: Recalling = recall_densely):
        self.length = 0  # tokens of the text that have been stored
        self.window = window
        self._block_size = block_size
        self._recalling = recalling
        self._stored = 0  # columns in use of the buffers, the newest tokens last
        self._buffers: list[tuple[Tensor, Tensor]] = []  # of each layer, (B, H, 2 W, K): keys, values

    def attend(self, layer: int, q_BHSK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor) -> Tensor:
        """o_BHSK of new blocks, at most a window of them, that read the stored ones and each other."""
        if len(self._buffers) == layer:
            batch, heads, _, size = k_BHSK.shape
            shape = (batch, heads, 2 * self.window, size)
            self._buffers.append((k_BHSK.new_empty(shape), v_BHSK.new_empty(shape)))
        new = k_BHSK.shape[2]
        read = self._read()
        first, end = self._stored - read, self._stored + new
        keys, values = self._buffers[layer]
        keys[:, :, self._stored : end], values[:, :, self._stored : end] = k_BHSK, v_BHSK
        recall = Recall(read, new, self._block_size, self.window)
        return self._recalling(q_BHSK, keys[:, :, first:end], values[:, :, first:end], recall)

    def make_room(self, new: int) -> None:
        """Before a pass over `new` tokens: what no block reads any more gives way, once in a window."""
        kept = self._read()
        if self._stored + new > 2 * self.window:
            for buffer in (each for pair in self._buffers for each in pair):
                buffer[:, :, :kept] = buffer[:, :, self._stored - kept : self._stored].clone()
            self._stored = kept

    def advance(self, new: int) -> None:
        """The blocks of the last pass are stored for good."""
        self.length += new
        self._stored += new

    def keep(self, rows_B: Tensor) -> None:
        """Only these samples go on."""
        self._buffers = [(keys[rows_B], values[rows_B]) for keys, values in self._buffers]

    def _read(self) -> int:
        """Stored tokens that the next block reads."""
        return min(self._stored, self.window - self._block_size)
