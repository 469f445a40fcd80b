"""The card's own rates: a product in bfloat16, a copy, the start of a kernel. What floors are counted
from."""

import time
from collections.abc import Callable, Iterator
from statistics import median

import torch

from benchmarks.floors import Card
from benchmarks.gpu.scale import Row, Scale

REPEATS = 20


def rows(scale: Scale, which: int) -> Iterator[Row]:
    device = torch.device(scale.device)
    yield Row("torch", None, f"{torch.__version__}, CUDA {torch.version.cuda}")
    card = measured(scale)
    facts: dict[str, object] = dict(card._asdict())
    yield Row("product in bf16", None, f"{card.flops / 1e12:.3g} TFLOP/s", facts=facts)
    yield Row("copy", None, f"{card.bandwidth / 1e12:.3g} TB/s, read and written", facts=facts)
    x = torch.zeros(1, device=device)
    started = _seconds(lambda: [x.add_(1) for _ in range(100)], device) / 100
    yield Row("start of a kernel", None, f"{1e6 * started:.2f} us, eagerly", facts={"seconds": started})


def measured(scale: Scale) -> Card:
    device, side = torch.device(scale.device), scale.product
    x, w = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    flops = 2 * side**3 / _seconds(lambda: x @ w, device)
    source = torch.randn(scale.copied // 4, device=device)
    target = torch.empty_like(source)
    bandwidth = 2 * scale.copied / _seconds(lambda: target.copy_(source), device)
    return Card(torch.cuda.get_device_name() if device.type == "cuda" else "CPU", flops, bandwidth)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    found = []
    for _ in range(REPEATS + 3):
        synchronize(device)
        began = time.perf_counter()
        work()
        synchronize(device)
        found.append(time.perf_counter() - began)
    return median(found[3:])


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
