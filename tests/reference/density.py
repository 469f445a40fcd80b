"""A configuration's density over p by going through its draws one by one. B bins of p."""

from typing import NamedTuple

from tests.reference import schedules, times
from tests.reference.weights import weight
from trainer.noise.clips import Clip


class Sums(NamedTuple):
    mass_B: list[float]
    drawn_B: list[float]
    token_square: float
    block_square: float
    slack_B: list[float]  # how far a mass may be off: some of what draws beside its edges carry


def sums(schedule, clip, reweighting, time, progress, draws, bins) -> Sums:
    """Means over even u in (0, 1), each the middle of a stratum."""
    low, high = clip.time(0.0), clip.time(1.0)
    mass, drawn, slack = [0.0] * bins, [0.0] * bins, [0.0] * bins
    token = block = before = 0.0
    bin_before = 0
    for i in range(draws):
        u = (i + 0.5) / draws
        first, last = next((a, b) for a, b in reversed(schedule.parts) if u >= a)
        share, over_density = times.drawn(time, (u - first) / (last - first))
        t = first + (last - first) * (low + (high - low) * share)
        p, scale = (1.0, 1.0) if clip == Clip(low=1) else level(schedule, t, progress)
        charge = scale * weight(reweighting, p, scale) * over_density
        b = min(int(p * bins), bins - 1)
        mass[b] += charge * p / draws
        drawn[b] += 1 / draws
        token += charge**2 * p / draws
        block += (charge * p) ** 2 / draws
        for beside in {max(b - 1, 0), b, min(b + 1, bins - 1)}:
            slack[beside] += abs(charge * p - before) / draws  # its variation, for what is between the draws
            if i and beside != b:
                slack[beside] = max(slack[beside], 3 * charge * p / draws)
        slack[b] = max(slack[b], 3 * charge * p / draws)
        if i == 0 or i == draws - 1 or abs(b - bin_before) > 1:  # over whole bins that no draw lies in
            slack = [max(each, 3 * max(charge * p, before) / draws) for each in slack]
        before, bin_before = charge * p, b
    return Sums(mass, drawn, token, block, slack)


def level(schedule, t, progress):
    return schedules.move_chance(schedule, t, progress), schedules.loss_scale(
        schedule, t, progress, step=1e-8
    )
