"""What a configuration's finetune noise looks like in numbers: schedule, clip, weight and times together."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ValidationError

from trainer.noise.clips import AnyClip, Clip
from trainer.noise.density import FINE, density
from trainer.noise.reweighting import AnyReweighting, Unweighted, normalizer
from trainer.noise.schedules import AnySchedule, LogLinear
from trainer.noise.times import AnyTime, UniformTime

TIMES = 600  # points of a curve over t
EVEN, NOTHING = 0.05, 0.01  # shares of the emphasis that are as good as the same, and as none


class FinetuneNoise(BaseModel, frozen=True, extra="forbid"):
    """The part of a TrainConfig that shapes the noise."""

    schedule: AnySchedule = LogLinear()
    clip: AnyClip = Clip()  # auto: as it begins
    reweighting: AnyReweighting = Unweighted()
    time: AnyTime = UniformTime()


class UnknownNoise(ValueError):
    """The stored values are of a schedule or weight that this version does not know."""


class NoiseShape(NamedTuple):
    t: np.ndarray  # times drawn in training, within the clip
    move_chance: np.ndarray  # p(t)
    loss_scale: np.ndarray  # p'/p
    weight: np.ndarray  # w, normalised as configured
    p: np.ndarray  # centres of the bins of the masking rate
    density: np.ndarray  # q(p): how often training masks at this rate; integrates to 1
    emphasis: np.ndarray  # q(p) p loss_scale w: what a rate adds to the objective; 1 everywhere is the NELBO
    moves: bool  # whether it changes with the progress of training
    total: float  # the integral of the emphasis
    kind: str  # 'bound', 'sum of bounds' or 'neither', under uniform masks

    def thirds(self) -> tuple[float, float, float]:
        """Shares of the emphasis on masking rates below 1/3, between, and above 2/3."""
        upto = np.concatenate([[0.0], np.cumsum(self.emphasis)])  # 3 need not divide the bins
        ends = np.interp((0, 1 / 3, 2 / 3, 1), np.linspace(0, 1, len(upto)), upto)
        light, medium, heavy = (float(each) for each in np.diff(ends))
        total = light + medium + heavy
        return (light / total, medium / total, heavy / total) if total else (0.0, 0.0, 0.0)

    def words(self) -> str:
        """'most on heavy masking': where the emphasis lies."""
        shares = dict(zip(("light", "medium", "heavy"), self.thirds(), strict=True))
        if not any(shares.values()):
            return "nothing is charged"
        if max(shares.values()) - min(shares.values()) < EVEN:
            return "all masking rates alike"
        if left_out := [name for name, share in shares.items() if share < NOTHING]:
            return f"no {' and no '.join(left_out)} masking"
        most = max(shares, key=lambda name: shares[name])
        return f"{'most' if shares[most] > 0.5 else 'more'} on {most} masking"


def noise_shape(values: Mapping[str, Any], progress: float = 0.0) -> NoiseShape:
    """Of a configuration's stored dotted values, at a progress in [0, 1]. Raises UnknownNoise."""
    noise: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        phase_name, _, path = name.partition(".")
        part, _, field = path.partition(".")
        if phase_name == "finetune" and part in FinetuneNoise.model_fields:
            noise.setdefault(part, {})[field] = value
    try:
        phase = FinetuneNoise.model_validate(noise)
    except ValidationError as error:
        raise UnknownNoise(f"{error.errors()[0]['msg']}, got {error.errors()[0]['input']!r}") from None
    exact = density(phase.schedule, phase.clip, phase.reweighting, phase.time, progress)
    divisor = normalizer(phase.reweighting, phase.schedule, phase.clip, progress)
    u = (np.arange(TIMES) + 0.5) / TIMES
    level = phase.clip.level(phase.schedule, u, progress)
    return NoiseShape(
        t=phase.clip.time(u),
        move_chance=level.move_chance,
        loss_scale=level.loss_scale,
        weight=phase.reweighting.weight(level) / divisor,
        p=(np.arange(FINE) + 0.5) / FINE,
        density=exact.drawn_K * FINE,
        emphasis=exact.mass_K * FINE,  # not of draws: a few in a schedule's tail would be spikes
        moves=phase.schedule.moves,
        total=exact.total,
        kind=exact.kind,
    )
