"""Attention of short passes on a CPU: blocks as they are, by products, with a backward pass of its own.

A row of block b, noisy or clean, reads two things: its own block of its own copy, and the clean blocks before
b. So scores are made for these alone, where a dense mask makes those of every noisy key too; and the weights
are kept for the backward pass, where torch's kernel makes them again.
Shapes: B batch, H heads, E = B * H, K head size, S tokens of a pass, R rows that ask, T rows of a tile, P
positions of a block, F = E * R / P blocks, C clean keys that a tile reads, X = P + C.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainer.network.attention import Layout

TILE = 64  # positions, in whole blocks: smaller tiles compute less in vain and are more calls


class Tile(NamedTuple):
    """Rows at the same positions, of all copies and of the clean tokens."""

    rows: slice  # in the plan's order
    clean: slice  # of the pass's tokens: those that the last of its blocks reads
    mask_TX: Tensor  # 0 where a row reads the key, else -inf; its own block comes first


class Plan(NamedTuple):
    order_R: Tensor | None  # the rows by tiles; None: as they are
    place_R: Tensor | None  # the reverse
    tiles: tuple[Tile, ...]


@lru_cache(maxsize=64)
def plan_of(layout: Layout, rows: int, dtype: torch.dtype) -> Plan:
    """Of the first so many rows of a pass."""
    with torch.inference_mode(False):  # it is kept: made by an evaluation, it must still serve training
        size = layout.block_size
        positions = -(-TILE // size) * size
        cpu = torch.device("cpu")
        position_R = layout.positions(cpu)[:rows]
        order_R = (position_R // positions).argsort(stable=True)
        tiles, first = [], 0
        for count in torch.bincount(position_R // positions).tolist():
            block_T = position_R[order_R[first : first + count]] // size
            clean = min(layout.clean, int(block_T.max()) * size)
            late_TC = torch.arange(clean, device=cpu) // size >= block_T[:, None]
            mask_TX = torch.zeros(count, size + clean, dtype=dtype, device=cpu)
            mask_TX[:, size:].masked_fill_(late_TC, -math.inf)
            keys = slice(layout.num_noisy, layout.num_noisy + clean)
            tiles.append(Tile(slice(first, first + count), keys, mask_TX))
            first += count
        if len(tiles) == 1:
            return Plan(None, None, tuple(tiles))
        return Plan(order_R, order_R.argsort(), tuple(tiles))


def blocks(q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
    """o_BHRK; as `dense` up to rounding, for passes with noisy tokens."""
    return _Blocks.apply(q_BHRK, k_BHSK, v_BHSK, layout)


class _Blocks(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
        rows, size, low = q_BHRK.shape[2], layout.block_size, q_BHRK.dtype == torch.bfloat16
        plan = plan_of(layout, rows, q_BHRK.dtype)
        q_ERK = _by_row(q_BHRK, plan.order_R) * q_BHRK.shape[3] ** -0.5
        k_ESK, v_ESK = (x.reshape(len(q_ERK), *x.shape[2:]) for x in (k_BHSK, v_BHSK))
        k_FPK, v_FPK = (_by_block(_by_row(x[:, :, :rows], plan.order_R), size) for x in (k_BHSK, v_BHSK))
        own_ERP = torch.bmm(_by_block(q_ERK, size), k_FPK.mT).view(*q_ERK.shape[:2], size)
        weights = []
        for rows_T, clean, mask_TX in plan.tiles:
            # Keys of the place where the own block's scores are put do not matter.
            keys = slice(clean.start - size, clean.stop)
            scores_ETX = torch.baddbmm(mask_TX, q_ERK[:, rows_T], k_ESK[:, keys].mT)
            scores_ETX[:, :, :size] = own_ERP[:, rows_T]
            weights_ETX = scores_ETX.softmax(-1)
            own_ERP[:, rows_T] = weights_ETX[:, :, :size]
            w_ETC = weights_ETX[:, :, size:]
            # A product in bfloat16 asks for its operands in one piece: once, for three of them.
            weights.append(w_ETC.contiguous() if low else w_ETC)
        o_ERK = torch.bmm(_by_block(own_ERP, size), v_FPK).view_as(q_ERK)
        o_ERK = _joined(
            torch.baddbmm(o_ERK[:, tile.rows], w_ETC, v_ESK[:, tile.clean])
            for tile, w_ETC in zip(plan.tiles, weights, strict=True)
        )
        ctx.layout = layout
        ctx.save_for_backward(q_ERK, k_ESK, v_ESK, k_FPK, v_FPK, o_ERK, own_ERP, *weights)
        return _as_given(o_ERK, plan.place_R, q_BHRK.shape)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, d_o_BHRK: Tensor) -> tuple[Tensor | None, ...]:
        q_ERK, k_ESK, v_ESK, k_FPK, v_FPK, o_ERK, own_ERP, *weights = ctx.saved_tensors
        layout, rows = ctx.layout, q_ERK.shape[1]
        size, plan = layout.block_size, plan_of(layout, rows, q_ERK.dtype)
        d_o_ERK = _by_row(d_o_BHRK, plan.order_R)
        # d scores = weight * (d_o @ v - d_o . o)
        dot_ER1 = (d_o_ERK * o_ERK).sum(-1, keepdim=True)

        own_FPP, d_o_FPK = _by_block(own_ERP, size), _by_block(d_o_ERK, size)
        d_FPP = torch.bmm(d_o_FPK, v_FPK.mT).sub_(_by_block(dot_ER1, size)).mul_(own_FPP)
        d_q_ERK = torch.bmm(d_FPP, k_FPK).view_as(q_ERK)
        d_k_ERK = torch.bmm(d_FPP.mT, _by_block(q_ERK, size)).view_as(q_ERK)
        d_v_ERK = torch.bmm(own_FPP.mT, d_o_FPK).view_as(q_ERK)
        d_k_ESK, d_v_ESK = (x.new_zeros(x.shape) for x in (k_ESK, v_ESK))
        d_k_ESK[:, :rows], d_v_ESK[:, :rows] = (_placed(x, plan.place_R) for x in (d_k_ERK, d_v_ERK))
        d_q = []
        for (rows_T, clean, _), w_ETC in zip(plan.tiles, weights, strict=True):
            q_ETK, d_o_ETK = q_ERK[:, rows_T], d_o_ERK[:, rows_T]
            d_ETC = torch.bmm(d_o_ETK, v_ESK[:, clean].mT).sub_(dot_ER1[:, rows_T]).mul_(w_ETC)
            d_q.append(torch.baddbmm(d_q_ERK[:, rows_T], d_ETC, k_ESK[:, clean]))
            d_k_ESK[:, clean] += torch.bmm(d_ETC.mT, q_ETK)
            d_v_ESK[:, clean] += torch.bmm(w_ETC.mT, d_o_ETK)
        d_q_ERK = _joined(d_q).mul_(q_ERK.shape[2] ** -0.5)
        d_k_BHSK, d_v_BHSK = (x.view(*d_o_BHRK.shape[:2], *x.shape[1:]) for x in (d_k_ESK, d_v_ESK))
        return _as_given(d_q_ERK, plan.place_R, d_o_BHRK.shape), d_k_BHSK, d_v_BHSK, None


def _by_row(x_BHRK: Tensor, order_R: Tensor | None) -> Tensor:
    """x_ERK in the order of the tiles."""
    x_BHRK = x_BHRK if order_R is None else x_BHRK.index_select(2, order_R)
    return x_BHRK.reshape(-1, *x_BHRK.shape[2:])


def _placed(x_ERK: Tensor, place_R: Tensor | None) -> Tensor:
    return x_ERK if place_R is None else x_ERK.index_select(1, place_R)


def _as_given(x_ERK: Tensor, place_R: Tensor | None, shape: torch.Size) -> Tensor:
    return _placed(x_ERK, place_R).view(shape)


def _by_block(x_ERK: Tensor, size: int) -> Tensor:
    """x_FPK."""
    return x_ERK.reshape(-1, size, x_ERK.shape[2])


def _joined(parts: Any) -> Tensor:
    first, *others = parts
    return torch.cat([first, *others], dim=1) if others else first
