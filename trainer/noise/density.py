"""What a configuration emphasises: its weight on each masking rate p beside the bound's, which is 1.

Schedule, clip, weight and density of times are names for one density d(p), what a rate adds to the objective
of a model whose masked tokens cost 1 nat, and for a variance, at what price it is estimated. Where d rises,
the objective is a sum of improved bounds B_s = the integral of the cross-entropy over p in (s, 1), each a
bound under the best decoder of what is masked less than s (Shi & Titsias 2025, arXiv 2511.19664): d(p) is
nu(0) + nu((0, p]), and B_s has the weight nu(ds). docs/objectives.md; docs/formulas.md section 3."""

from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from trainer.noise.clips import Interval
from trainer.noise.quadrature import PANELS, crossings, extremes, nodes
from trainer.noise.reweighting import Reweighting, normalizer
from trainer.noise.schedules import NoiseSchedule
from trainer.noise.times import TimeDensity

FINE = 100  # bins of p
TENTHS = 10
# Of two objectives that are the same, the shares of a bin differ by less; below the first bin of FINE nothing
# is compared: 1e-3 stands for t = 0, and a schedule begins where it is then.
SAME = 1e-6
MIRROR = 1e-2
FLAT = 1e-3  # of the largest value of d: what is less of a step is none

Kind = Literal["bound", "sum of bounds", "neither"]


class Density(NamedTuple):
    """Arrays over FINE equal bins of p."""

    mass_K: np.ndarray  # the integral of d over the bin: 1 / FINE is the bound's
    drawn_K: np.ndarray  # of the times drawn, the share that falls into it
    token_square: float  # E[charge^2 p]: of a token that costs 1 nat where it is masked
    block_square: float  # E[(charge p)^2]: of a block of very many of them
    infinite: bool  # whether these are not finite, but for what keeps p off 0 and 1
    first: (
        float  # d where the rates drawn begin, 1e-3 standing for t = 0; 0 where that is beyond the first bin
    )

    @property
    def total(self) -> float:
        """The bound's is 1."""
        return float(self.mass_K.sum())

    @property
    def tenths(self) -> np.ndarray:
        """The integral of d over ten bins: .1 each is the bound's."""
        return self.mass_K.reshape(TENTHS, -1).sum(axis=1)

    @property
    def d_K(self) -> np.ndarray:
        """Mean of d over each bin; the first bin's is that of the second, see SAME, unless all is in it."""
        d_K = self.mass_K * FINE
        return np.concatenate([d_K[1:2], d_K[1:]]) if d_K[1:].any() else d_K

    @property
    def kind(self) -> Kind:
        """A bound up to a constant factor, a sum of improved bounds, or neither. Of uniform masks."""
        d_K, step = self.d_K, FLAT * self.d_K.max()
        if np.ptp(d_K) <= step:
            return "bound"
        return "sum of bounds" if np.all(np.maximum.accumulate(d_K) - d_K <= step) else "neither"

    @property
    def bounds_K(self) -> np.ndarray:
        """nu: the weight of B_s, s the lower edge of each bin; below 0 where d falls. They sum to d, bin by
        bin, and, each times 1 - s, to the total."""
        return np.diff(self.d_K, prepend=0.0)

    @property
    def bound(self) -> float:
        """nu(0), the weight of the bound itself: of a d that rises what it begins with. `bounds_K` has it
        with all that d rises by in the first two bins."""
        return min(self.first, float(self.d_K[0]))

    def variance_factor(self, block_size: int) -> float:
        """E[x^2] / E[x]^2, x the loss of a block whose masked tokens cost 1 nat each; 1 is the least."""
        square = self.block_square + (self.token_square - self.block_square) / block_size
        return float("inf") if self.infinite else square / self.total**2

    def same(self, other: "Density") -> bool:
        """The same objective: whatever the model, the mean of the loss is the same."""
        apart = np.abs(self.mass_K - other.mass_K)[1:]
        return bool(apart.max() <= SAME * max(self.total, other.total))

    def distance(self, other: "Density") -> float:
        """Of their shapes, whatever their totals: the part of one's emphasis that the other has elsewhere, in
        [0, 1]."""
        return float(np.abs(self.mass_K / self.total - other.mass_K / other.total)[1:].sum() / 2)

    def mirrors(self, other: "Density") -> bool:
        """Whether rates p are drawn as often as the other draws 1 - p, and are not their own mirror image.

        To a hundredth, since schedules begin where 1e-3 stands for t = 0, or at an eps.
        """
        apart, itself = (np.abs(self.drawn_K - each.drawn_K[::-1]).sum() / 2 for each in (other, self))
        return bool(apart <= MIRROR < itself)


@lru_cache(maxsize=4096)
def density(
    schedule: NoiseSchedule,
    clip: Interval,
    reweighting: Reweighting,
    time: TimeDensity,
    progress: float = 1.0,
) -> Density:
    """By quadrature, in float64. progress: of training, where the schedule moves. Masks are uniform."""
    x, dx = _panels(schedule, clip, time, progress)
    level = clip.level(schedule, x, progress)
    p = level.move_chance
    first, width = schedule.part(x)
    often, weight = time.at((x - first) / width)
    divisor = normalizer(reweighting, schedule, clip, progress)  # type: ignore[arg-type]
    charge = weight * level.loss_scale * reweighting.weight(level) / divisor
    share_X = often * charge * p
    drawn = often * dx
    bin_X = np.minimum((p * FINE).astype(int), FINE - 1)

    def binned(value: np.ndarray) -> np.ndarray:
        return np.bincount(bin_X, value, FINE)

    squares = drawn * charge**2 * p
    return Density(
        binned(share_X * dx),
        binned(drawn),
        float(squares.sum()),
        float((squares * p).sum()),
        _diverges(schedule, clip, reweighting, progress),
        _first(schedule, clip, progress, x, share_X),
    )


def _first(
    schedule: NoiseSchedule, clip: Interval, progress: float, x: np.ndarray, share_X: np.ndarray
) -> float:
    """share_X: what the places x add to the objective."""
    found = 0.0
    for start, end in _stretches(schedule, clip):
        at = start + (end - start) * np.array([1e-9, 1e-6])
        p = clip.level(schedule, at, progress).move_chance
        if p[0] < 1 / FINE and p[1] > p[0]:
            found += float(share_X[np.searchsorted(x, start)] * (at[1] - at[0]) / (p[1] - p[0]))
    return found


@lru_cache(maxsize=256)  # weights are laid over the same
def _panels(
    schedule: NoiseSchedule, clip: Interval, time: TimeDensity, progress: float
) -> tuple[np.ndarray, np.ndarray]:
    """(x, dx) over the places in [0, 1] of the clip, cut where p passes from bin to bin and where the density
    of times steps."""

    def p(x: np.ndarray) -> np.ndarray:
        return clip.level(schedule, x, progress).move_chance

    found = []
    steps = np.arange(len(time.shape()) + 1) / len(time.shape())
    for start, end in _stretches(schedule, clip):
        first, width = schedule.part((start + end) / 2)
        targets = np.concatenate([np.arange(1, FINE) / FINE, extremes(p, start, end)])
        edges = np.concatenate(
            [start + (end - start) * PANELS, crossings(p, start, end, targets), first + width * steps]
        )
        found.append(nodes(np.unique(edges[(edges >= start) & (edges <= end)])))
    x, dx = zip(*found, strict=True)
    return np.concatenate(x), np.concatenate(dx)


def _stretches(schedule: NoiseSchedule, clip: Interval) -> list[tuple[float, float]]:
    """The places of the clip between which p rises; of a single time, all of them."""
    low, high = clip.time(0.0), clip.time(1.0)
    if low == high:
        return list(schedule.parts)
    return [
        (first + width * (start - low) / (high - low), first + width * (end - low) / (high - low))
        for first, width, start, end in clip.rising(schedule)
    ]


def _diverges(schedule: NoiseSchedule, clip: Interval, reweighting: Reweighting, progress: float) -> bool:
    """Whether halves of the way to an end add no less to E[charge^2 p] the nearer they are to it.

    Looked at from 2^-20 to 2^-26 of the way, where LOG_SNR_MARGIN does not yet keep p off 1.
    """
    for start, end in _stretches(schedule, clip):
        for at, towards in ((start, end - start), (end, start - end)):
            adds = []
            for k in (20, 23, 26):
                x, dx = nodes(at + towards * np.array([0.5 ** (k + 1), 0.5**k]))
                level = clip.level(schedule, x, progress)
                charge = level.loss_scale * reweighting.weight(level)
                adds.append(float(np.sum(np.abs(dx) * charge**2 * level.move_chance)))
            if adds[2] > 0.95 * adds[1] > 0.95**2 * adds[0] > 0:
                return True
    return False
