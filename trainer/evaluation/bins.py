"""What a schedule does: how often each masking rate is trained, what a token costs there, what it adds.

BINS equal bins of p (move_chance). B batch, L length.
"""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import numpy as np

from trainer.config.evaluation import EvaluationConfig
from trainer.data.corpus import Corpus
from trainer.evaluation.variance import losses_of, valid_batch
from trainer.network.model import Denoiser
from trainer.noise.arrays import Array, to_dtype_of, to_float64
from trainer.noise.clips import Interval
from trainer.noise.reweighting import Unweighted, normalizer
from trainer.noise.schedules import NoiseLevel, NoiseSchedule
from trainer.noise.times import UniformTime
from trainer.objectives.base import Objective, TokenLoss
from trainer.randomness import seed_of
from trainer.settings.phase import Phase

BINS = 10
DRAWS = 20_000  # stratified times behind the shares


class Bin(NamedTuple):
    centre: float  # of the bin, in p
    share: float  # of the blocks that training draws
    move_chance: float  # mean of p over what was measured
    masked: float  # fraction of the maskable tokens
    tokens: int  # maskable, measured
    nats: float  # per masked token, without loss_scale and weight; nan where none was masked
    objective: float  # what the bin adds to the objective: over the bins, they sum to it


class _At(Interval):
    """Every block at one level, whatever is drawn."""

    fixed: NoiseLevel

    def level(self, schedule: NoiseSchedule, u: Array, progress: float = 0.0) -> NoiseLevel:
        return NoiseLevel(*(to_dtype_of(u, to_float64(u) * 0 + each) for each in self.fixed))


def bins(
    model: Denoiser, objective: Objective, phase: Phase, corpus: Corpus, config: EvaluationConfig
) -> Generator[None, None, list[Bin]]:
    """Yields None after each pass; returns the bins that the schedule and clip reach, at progress 1.

    variance_batches passes, spread evenly over BINS, on batches of the training's size of the valid split:
    each at one time, drawn from its stratum of the bin. Nothing for a model without noise. A token counts
    as masked where its loss is not 0.
    """
    if not objective.noisy:
        return []
    passes = -(-config.variance_batches // BINS)
    unweighted = phase.of_diffusion().model_copy(update={"reweighting": Unweighted(), "time": UniformTime()})
    times = {i: u_U for i, u_U in enumerate(times_by_bin(phase) if passes else []) if len(u_U)}
    rngs = {i: np.random.default_rng(seed_of(config.seed, "bins", i)) for i in times}
    looks: dict[int, list[_Look]] = {i: [] for i in times}
    for k in range(passes):
        x0_BL = valid_batch(model, corpus, phase.batch_size, config.seed, k)
        at = [u_U[int((k + rngs[i].random()) / passes * len(u_U))] for i, u_U in times.items()]
        levels = [phase.time.level(phase.schedule, phase.clip, float(u), 1.0) for u in at]
        phases = [unweighted.model_copy(update={"clip": _At(fixed=level)}) for level, _ in levels]
        seeds = [seed_of(config.seed, "bin masks", i, k) for i in times]
        losses = yield from losses_of(model, objective, x0_BL, phases, seeds)
        for i, level, loss in zip(times, levels, losses, strict=True):
            looks[i].append(_Look(*level, loss))
    return [_bin(i, len(u_U) / DRAWS, looks[i], phase) for i, u_U in times.items()]


class _Look(NamedTuple):
    """At one time of a bin."""

    level: NoiseLevel
    over_density: Any  # 1 / density of that time
    loss: TokenLoss


def _bin(i: int, share: float, looks: Sequence[_Look], phase: Phase) -> Bin:
    divisor = normalizer(phase.reweighting, phase.schedule, phase.clip, 1.0)
    move_chance, masked, tokens, nats, charged = 0.0, 0, 0, 0.0, 0.0
    for level, over_density, loss in looks:
        total = loss.loss_BL.double().sum().item()
        move_chance += level.move_chance / len(looks)
        masked += int(loss.loss_BL.count_nonzero())
        tokens += int(loss.scored_BL.sum())
        nats += total / level.loss_scale
        charged += total * over_density * phase.reweighting.weight(level) / divisor
    return Bin(
        centre=(i + 0.5) / BINS,
        share=share,
        move_chance=float(move_chance),
        masked=masked / tokens,
        tokens=tokens,
        nats=float(nats / masked) if masked else float("nan"),
        objective=float(share * charged / tokens),
    )


def times_by_bin(phase: Phase) -> list[np.ndarray]:
    """For each bin, those of DRAWS even u in (0, 1) at which p falls into it; at progress 1."""
    u_U = (np.arange(DRAWS) + 0.5) / DRAWS
    p_U = phase.time.level(phase.schedule, phase.clip, u_U, 1.0).level.move_chance
    bin_U = np.minimum((p_U * BINS).astype(int), BINS - 1)
    return [u_U[bin_U == i] for i in range(BINS)]


def rows(found: list[Bin]) -> dict[str, float]:
    """A row each of trainer/metrics.py's bin_*, with the bin's centre: `bin_nats/0.05`."""
    named = {
        f"bin_{name}/{one.centre:g}": value
        for one in found
        for name, value in (
            ("share", one.share),
            ("masked", one.masked),
            ("nats", one.nats),
            ("objective", one.objective),
        )
    }
    return {name: value for name, value in named.items() if np.isfinite(value)}
