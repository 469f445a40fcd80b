"""Trials of equal shape trained as one on this card, against one trial alone."""

from collections.abc import Iterator

from benchmarks.fused import measured
from benchmarks.gpu.scale import Row, Scale, Step
from benchmarks.gpu.steps import case_of

NEAR = 2e-2  # of losses in bfloat16
ASKED = 3.0  # times the tokens a second of one trial


def rows(scale: Scale, which: int) -> Iterator[Row]:
    case = case_of(scale, Step(scale.length, scale.batch))
    found = measured(case, scale.trials, scale.repeats)
    alone, fused = found["losses"]
    apart = max(abs(one - other) / abs(one) for one, other in zip(alone, fused, strict=True))
    yield Row("losses of the first step", apart <= NEAR, f"{apart:.1e} apart", f"{NEAR:g}", found)
    tokens = case.batch * case.length
    one, many = tokens / found["alone"], tokens / found["fused"]
    said = f"{many:,.0f} tokens/s, {many / one:.2f}x of one, {one:,.0f}"
    ok = many >= ASKED * one if scale.device == "cuda" else None
    facts = {"tokens_per_second": many, "of_one": many / one}
    yield Row(f"{scale.trials} trials, fused, batch {scale.batch}", ok, said, f"{ASKED:g}x", facts)
