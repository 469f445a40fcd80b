"""An objective in the terminal: its density over the masking rate as a curve and in ten bins, and what it
is."""

import math
from typing import Any

import numpy as np

from sweeper.planning.objectives import Trained, is_published, nearest
from trainer.noise.density import FINE, SAME, TENTHS

BARS = " ▁▂▃▄▅▆▇█"
COLUMNS = 50
KINDS = {
    "bound": "a bound: it weighs every masking rate alike",
    "sum of bounds": "a sum of improved bounds: its weight rises with the masking rate",
    "neither": "neither a bound nor a sum of them: its weight falls somewhere, or its masks are another's",
}
SINGLE = "a bound: in blocks of one token every masking rate costs the same"


def lines(one: Trained) -> list[str]:
    found = one.density
    token = "infinite" if found.infinite else f"{found.variance_factor(1):.3g}"
    factor = "infinite" if found.infinite else f"{one.variance_factor:.3g}"
    said = [
        one.name,
        f"  p from 0 to 1  |{curve(found.d_K.tolist())}|  highest {found.d_K.max():.3g}, the bound's is 1",
        "  by tenths of p " + " ".join(f"{each:5.3f}" for each in found.tenths),
        f"  total          {found.total:.4g} of the bound's 1",
        f"  variance       E[w^2] / E[w]^2 = {factor} of a flat model's blocks of {one.block_size}; "
        f"{token} of single tokens",
        f"  is             {SINGLE if one.kind == 'bound' and one.block_size == 1 else KINDS[one.kind]}",
    ]
    if one.kind == "sum of bounds":
        shares = ", ".join(f"{label} {share:.1%}" for label, share in bounds(one) if share >= 0.0005)
        said.append(f"  s from 0 to 1  |{curve(improved(one))}|  B_s, the bounds over rates above s > 0")
        said.append(f"  its bounds     over rates above s: {shares}")
    return [*said, f"  published      {_near(one, *nearest(one))}"]


def _near(one: Trained, others: list[Trained], apart: float) -> str:
    names = ", ".join(each.name for each in others)
    if is_published(one, others[0]):
        return f"the same as {names}"
    if one.density.same(others[0].density):
        return f"the density of {names}; another objective by its {', '.join(one.differs(others[0]))}"
    return (
        f"nearest {names}, {f'{apart:.1%} of it elsewhere' if apart > SAME else 'the same but for a factor'}"
    )


def curve(d_K: list[float]) -> str:
    """As high as the largest: a column is the mean of a few bins."""
    each = FINE // COLUMNS
    means = [sum(d_K[i : i + each]) / each for i in range(0, FINE, each)]
    top = max(means)
    return "".join(BARS[max(0, math.ceil(mean / top * (len(BARS) - 1) - 1e-9))] for mean in means)


def bounds(one: Trained) -> list[tuple[str, float]]:
    """(s, share of the total) of the improved bounds that it is made of: s = 0, the bound itself, and s in
    each tenth."""
    part_K, each = improved(one), FINE // TENTHS
    tenths = [sum(part_K[i : i + each]) for i in range(0, FINE, each)]
    labels = [f"s in [{k / TENTHS:g}, {(k + 1) / TENTHS:g})" for k in range(TENTHS)]
    bound = one.density.bound / float(one.density.d_K.mean())
    return [("s = 0", bound), *zip(labels, tenths, strict=True)]


def improved(one: Trained) -> list[float]:
    """What B_s has of the total, for s > 0 in each bin of FINE."""
    found, s_K = one.density, np.arange(FINE) / FINE
    part_K = found.bounds_K * (1 - s_K)
    part_K[0] -= found.bound
    return [float(part) for part in part_K / found.d_K.mean()]


def as_json(one: Trained) -> dict[str, Any]:
    found, (near, apart) = one.density, nearest(one)
    return {
        "objective": one.name,
        "block_size": one.block_size,
        "density": found.d_K.tolist(),
        "tenths": found.tenths.tolist(),
        "drawn": found.drawn_K.reshape(TENTHS, -1).sum(axis=1).tolist(),
        "total": found.total,
        "variance_factor": None if found.infinite else one.variance_factor,
        "variance_factor_of_token": None if found.infinite else found.variance_factor(1),
        "kind": one.kind,
        "bounds": dict(bounds(one)),
        "nearest": {
            "names": [each.name for each in near],
            "apart": apart,
            "same": is_published(one, near[0]),
        },
    }
