"""Which backend computes a pass of attention: by the setting, or by device, precision and layout."""

from typing import NamedTuple

import torch
from torch import Tensor

from trainer.errors import TrainingError, lacks
from trainer.network.attention import (
    Attention,
    Layout,
    Recall,
    Recalling,
    by_copy,
    dense,
    in_a_row,
    recall_densely,
    tile_size,
    tiled,
)
from trainer.network.attention_blocks import blocks
from trainer.network.attention_flash import flash, installed, recall_by_flash
from trainer.network.products import attention_kernel, widened

SHORT = 512  # tokens of a pass, up to which a GPU computes the whole mask as fast as its blocks
KEPT = 256  # tokens of a text, up to which a CPU keeps float32's weights of attention for the backward pass
FEW = 64  # tokens of a text, up to which a CPU trains in bfloat16 as fast under the whole mask
SMALL = 4  # a CPU's products of smaller blocks take as long as the whole mask
NARROWEST = 16  # head that FlexAttention's kernel takes
HALF = (torch.bfloat16, torch.float16)


class Place(NamedTuple):
    """What the choice depends on beside the layout."""

    device: str  # cpu or cuda
    dtype: torch.dtype
    capability: tuple[int, int]  # of the GPU; (0, 0) of a CPU
    flash: bool  # flash-attn is installed
    trains: bool = True  # gradients are asked for
    multiplies: bool = True  # a CPU has instructions for products of this dtype
    head_size: int = 64

    @property
    def flashes(self) -> bool:
        return self.flash and self.device == "cuda" and self.dtype in HALF and self.capability >= (8, 0)

    def takes_blocks(self, length: int) -> bool:
        """Of a CPU, of texts of this many tokens."""
        if self.dtype in HALF:
            return self.multiplies and not (self.trains and length <= FEW)
        return length <= KEPT


def backend_for(layout: Layout, place: Place) -> str:
    """The name of the fastest.

    CPU: blocks where there are noisy ones, in float32 of short texts, whose weights can be kept, in bfloat16,
    which keeps them anyway, of all but the shortest; else tiles where there are several, for calls are cheap.
    GPU: no mask where none is needed; else a block mask, which needs Triton, hence Volta or
    later, or where the pass is short a dense one.
    """
    if place.device != "cuda":
        if SMALL <= layout.block_size < layout.noisy and place.takes_blocks(layout.noisy):
            return "blocks"
        return "tiles" if max(layout.noisy, layout.clean) > tile_size(layout) else "dense"
    if layout.causal or layout.full:
        return "flash" if place.flashes else "unmasked"
    long = layout.num_noisy + layout.clean > SHORT
    flexes = place.capability >= (7, 0) and place.head_size >= NARROWEST
    return "flex" if long and flexes else "dense"


def fitting(q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
    """The fastest for this pass."""
    return ATTENTION[backend_for(layout, place_of(q_BHRK))](q_BHRK, k_BHSK, v_BHSK, layout)


def recall_fittingly(q_BHSK: Tensor, k_BHWK: Tensor, v_BHWK: Tensor, recall: Recall) -> Tensor:
    by_flash = place_of(q_BHSK).flashes
    return (recall_by_flash if by_flash else recall_densely)(q_BHSK, k_BHWK, v_BHWK, recall)


def place_of(x: Tensor) -> Place:
    capability = torch.cuda.get_device_capability(x.device) if x.is_cuda else (0, 0)
    trains = x.requires_grad and torch.is_grad_enabled()
    return Place(x.device.type, x.dtype, capability, installed(), trains, not widened(x), x.shape[-1])


def unmasked(q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
    """torch's kernel, told that the layout is causal or full, R = S: it is faster without a mask."""
    q, k, v = (by_copy(x, layout.copies) for x in (q_BHRK, k_BHSK, v_BHSK))
    return in_a_row(attention_kernel(q, k, v, is_causal=layout.causal), layout.copies)


def flexible(q_BHRK: Tensor, k_BHSK: Tensor, v_BHSK: Tensor, layout: Layout) -> Tensor:
    from trainer.network.attention_flex import flex  # loads torch's compiler

    return flex(q_BHRK, k_BHSK, v_BHSK, layout)


ATTENTION: dict[str, Attention] = {
    "auto": fitting,
    "dense": dense,
    "tiles": tiled,
    "blocks": blocks,
    "unmasked": unmasked,
    "flex": flexible,
    "flash": flash,
}


def attention_named(name: str, place: Place) -> tuple[Attention, Recalling]:
    """Of a pass, and of one with a cache. Raises TrainingError where this machine cannot."""
    if name == "flash" and not place.flash:
        lacking = lacks("compute.attention: flash", "flash-attn", "gpu")
        raise TrainingError(f"{lacking}; or leave compute.attention at auto")
    if name == "flash" and not place.flashes:
        raise TrainingError(
            "compute.attention: flash needs a GPU of compute capability 8 and compute.precision bfloat16"
        )
    if name == "flex" and place.device == "cpu":
        raise TrainingError("compute.attention: torch cannot train with flex on a CPU; tiles can")
    recall = {"auto": recall_fittingly, "flash": recall_by_flash}.get(name, recall_densely)
    return ATTENTION[name], recall
