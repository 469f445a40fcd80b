"""benchmarks.step on one of its cases: against the straightforward form, and against the floors."""

import gc
from collections.abc import Iterator
from statistics import median
from typing import Any

import torch

from benchmarks.floors import H200
from benchmarks.forms import Case, prepared
from benchmarks.gpu.rates import measured
from benchmarks.gpu.scale import Row, Scale, Step
from benchmarks.step import needed_work, on_gpu, peak, timed


def case_of(scale: Scale, step: Step) -> Case:
    sizes = (step.length, scale.vocab_size, step.batch, scale.block_size)
    return Case("bd3lm", scale.size, *sizes, dtype="bfloat16", device=scale.device)


def rows(scale: Scale, which: int) -> Iterator[Row]:
    step = scale.steps[which]
    case, name = case_of(scale, step), f"L = {step.length}, batch {step.batch}"
    found = _both(case, scale.repeats)
    ours, plain = (median(found["cpu_seconds"][form]) for form in ("ours", "plain"))
    tokens = step.length * step.batch / ours
    asked = f"{step.ratio:g}x" if step.ratio is not None else ""
    ok = plain / ours >= step.ratio if step.ratio is not None else None
    speed = f"{plain / ours:.2f}x the straightforward form, {1e3 * ours:.2f} ms, {tokens:,.0f} tokens/s"
    yield Row(name, ok, speed, asked, found)
    said = (
        f"{form}: {each['kernels']:,} kernels by {each['calls']:,} calls"
        for form, each in found["launches"].items()
    )
    yield Row(f"{name}: launches", None, "; ".join(said), facts=found["launches"])
    yield _beside_floor(scale, step, case, ours)
    yield _memory(case, name)


def _both(case: Case, repeats: int) -> dict[str, Any]:
    forms = prepared(case)
    return timed(case, repeats, *forms) | on_gpu(case, repeats + 2, *forms)


def _beside_floor(scale: Scale, step: Step, case: Case, ours: float) -> Row:
    """The longer of the two: operations, bytes. By the rates of an H200 where the card has none of its
    own."""
    learner, _, x0_BL = prepared(case._replace(device="cpu"), with_plain=False)
    needed = needed_work(case, learner, x0_BL)
    cards = [measured(scale), H200]
    floors = {card.name: needed.milliseconds(card) for card in cards}
    shares = [max(floor.values()) / (1e3 * ours) for floor in floors.values()]
    said = "; ".join(
        f"{name}: operations {floor['operations']:.2f}, bytes {floor['bytes']:.2f} ms, {share:.0%} reached"
        for (name, floor), share in zip(floors.items(), shares, strict=True)
    )
    ok = shares[0] >= step.of_floor if step.of_floor is not None else None
    asked = f"{step.of_floor:.0%}" if step.of_floor is not None else ""
    facts: dict[str, object] = {"floors_ms": floors, "needed": needed._asdict(), "shares": shares}
    return Row(f"L = {step.length}, batch {step.batch}: floor", ok, said, asked, facts)


def _memory(case: Case, name: str) -> Row:
    """The smaller form first; what each leaves with the allocator is given back before the next."""
    found: dict[str, object] = {}
    for form in ("ours", "plain"):
        gc.collect()
        if case.device == "cuda":
            torch.cuda.empty_cache()
        found[form] = peak(case, form)
    said = f"{found['ours']:,} MB; straightforward {found['plain']:,} MB"
    return Row(f"{name}: peak memory", None, said, facts=found)
