"""What a training step needs at the least, by its shapes; and how many kernels it really starts.

Counted is a step in which every product is a kernel that reads its operands once and writes its result once,
forward and for both gradients: each of a product's three matrices is met three times. All that is elementwise
is fused into products; attention and cross-entropy leave neither scores nor logits in memory. What the loss
does not depend on is not computed: rows that nobody reads, logits of unmasked tokens, pairs that may not
attend. Vectors are left out: biases, norms, and the condition and what it makes of the layers.

In a low precision are products and what goes between them; weights, their gradients, AdamW's moments, the
moving average and the residual stream are in float32.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from sweeper.planning.flops import MET, Rows, body, flops_of, head
from trainer.network.attention import Layout, dense_mask
from trainer.network.model import Shape

FLOAT32 = 4  # bytes


class Card(NamedTuple):
    name: str
    flops: float  # a second, of dense products in bfloat16
    bandwidth: float  # bytes a second


H200 = Card("H200", 790e12, 4.3e12)


def rows_of(layout: Layout, batch: int, scored: float) -> Rows:
    """scored: over the whole batch."""
    allowed_SS = dense_mask(layout, torch.device("cpu"))
    pairs, pairs_read = int(allowed_SS.sum()), int(allowed_SS[: layout.num_read].sum())
    return (
        Rows(layout.noisy + layout.clean, layout.num_read, 0, pairs, pairs_read)
        .times(batch)
        ._replace(scored=scored)
    )


class Work(NamedTuple):
    """Of one step."""

    flops: float  # two for each multiplication
    weights: int  # bytes: read twice, and their gradients written
    activations: int  # bytes
    optimizer: int  # bytes: the gradient's norm, AdamW and the moving average

    @property
    def bytes(self) -> int:
        return self.weights + self.activations + self.optimizer

    def milliseconds(self, card: Card) -> dict[str, float]:
        """Of the operations and of the bytes, as if the other cost nothing."""
        return {
            "operations": round(1e3 * self.flops / card.flops, 3),
            "bytes": round(1e3 * self.bytes / card.bandwidth, 3),
        }


def work(shape: Shape, rows: Rows, parameters: int, element: int) -> Work:
    """parameters: how many numbers AdamW moves. element: bytes of a number in a product."""
    return Work(
        flops_of(shape, rows),
        weight_bytes(shape, rows, element),
        activation_bytes(shape, rows, element),
        # The norm reads gradients; AdamW reads weights, gradients and two moments, and writes all but the
        # gradients; the moving average is read and written.
        (1 + 4 + 3 + 2) * FLOAT32 * parameters,
    )


def weight_bytes(shape: Shape, rows: Rows, element: int) -> int:
    """The table of words has a gradient of its own size too, though only some of its rows are read."""
    matrices = sum(each.inputs * each.outputs for each in (*body(shape, rows), head(shape, rows)))
    return matrices * (2 * element + FLOAT32) + shape.vocab_size * shape.width * FLOAT32


def activation_bytes(shape: Shape, rows: Rows, element: int) -> int:
    products = sum(each.rows * (each.inputs + each.outputs) for each in body(shape, rows))
    products += rows.scored * shape.width  # the head's input; its logits are not kept
    asked = (shape.layers - 1) * rows.tokens + rows.read  # q and o, over all layers
    attention = 2 * shape.width * (asked + shape.layers * rows.tokens)  # and k and v
    # Made by the embedding, then added to twice a layer: read and written, and so is its gradient.
    stream = shape.width * ((1 + 2 * (shape.layers - 1)) * rows.tokens + 2 * rows.scored)
    return MET * (products + attention) * element + 4 * stream * FLOAT32


# What the host does to start work on a GPU; a CUDA graph is one such call.
CALL = re.compile(r"cu(da)?(Graph)?(Launch|Memcpy|Memset)")


class Launches(NamedTuple):
    """Of one step."""

    kernels: int  # on the GPU, copies and fills among them; those of a CUDA graph one by one
    calls: int  # of the host


def launches(step: Callable[[], Any], device: str = "cuda") -> Launches:
    """Counted by torch's profiler while the step runs once, on a GPU; a CPU starts none."""
    on_gpu = device == "cuda"
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as found:
        step()
        if on_gpu:
            torch.cuda.synchronize()
    return counted(found.events())


def counted(events: Iterable[Any]) -> Launches:
    """Of a profile's events: those of the GPU, but for ranges that someone named, and the host's calls."""
    own = [event for event in events if not event.is_user_annotation]
    kernels = sum(event.device_type == DeviceType.CUDA for event in own)
    calls = sum(event.device_type == DeviceType.CPU and bool(CALL.match(event.name)) for event in own)
    return Launches(kernels, calls)
