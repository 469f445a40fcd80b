"""Clips: at which times training draws its noise, fixed or searched for. Bounds on TIME, not on p.

Arriola et al. 2025, arXiv 2503.09573, sections 5.2 and 5.3; docs/formulas.md section 2.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from trainer.noise.arrays import Array, to_dtype_of, to_float64
from trainer.noise.schedules import NoiseLevel, NoiseSchedule
from trainer.values import Settings

# Stands for t = 0, where loss_scale has a pole.
FIRST_TIME = 1e-3


class Interval(Settings):
    """Abstract. Bounds on TIME, not on the masking rate: t is uniform on [low, high]. Training only.

    Also called the clipped schedule U[beta, omega] (Arriola et al. 2025). 1e-3 stands for 0.
    """

    low: float = Field(0.0, ge=0, le=1, description="beta, the earliest time.")
    high: float = Field(1.0, ge=0, le=1, description="omega, the latest time.")

    @model_validator(mode="after")
    def _low_is_not_above_high(self) -> "Interval":
        if self.low > self.high:
            raise ValueError(f"low {self.low} is above high {self.high}")
        return self

    def time(self, u: Array) -> Array:
        """Times in [low, high] for u in [0, 1], in the shape and type of u."""
        low, high = max(self.low, FIRST_TIME), max(self.high, FIRST_TIME)
        t = low + (high - low) * to_float64(u)
        return to_dtype_of(u, t)

    def level(self, schedule: NoiseSchedule, u: Array, progress: float = 0.0) -> NoiseLevel:
        """The schedule's level at time(u), except that [1, 1] masks everything at loss_scale 1.

        At t = 1 a schedule may stop short of p = 1 and charges its own p'; [1, 1] is the plain
        cross-entropy of a fully masked block, which at block size 1 is the likelihood, whatever the schedule.
        """
        if self.low == 1:
            ones = to_dtype_of(u, to_float64(u) * 0 + 1)
            return NoiseLevel(ones, ones)
        first, width = schedule.part(u)
        return schedule(first + width * self.time((u - first) / width), progress)

    def rising(self, schedule: NoiseSchedule) -> list[tuple[float, float, float, float]]:
        """(first, width, start, end): the intervals of time [start, end] in which p rises within the clip, in
        shares of the schedule's part that begins at `first`. None where the clip is a single time."""
        low, high = self.time(0.0), self.time(1.0)
        found = []
        for first, last in schedule.parts:
            width = last - first
            for a, b in schedule.branches:
                start, end = max((a - first) / width, low), min((b - first) / width, high)
                if start < end and first <= a and b <= last:
                    found.append((first, width, start, end))
        return found


class Clip(Interval):
    """The same interval from the first step to the last."""

    # Not written out: a clip without a name has always been this one, and content hashes stay.
    name: Literal["fixed"] = Field("fixed", exclude=True)


class AutoClip(Interval):
    """At each evaluation, the interval under which the training objective varies least between blocks.

    Arriola et al. 2025, section 5.3. It is reported, and where `adopt` is set the run goes on with it, as the
    public code does (its `clip_search_widths`, `clip_search_delta`); trainer/evaluation/clip_search.py.
    """

    name: Literal["auto"] = "auto"
    widths: tuple[float, ...] = Field(
        (0.5, 0.6, 0.7, 0.8, 0.9),
        description="Of the intervals tried, whole steps each; [0, 1] is tried as well. "
        "At block size 1: [0, 1] and [1, 1] alone.",
    )
    step: float = Field(0.05, ge=0.01, le=1, description="Between the earliest times tried; it divides 1.")
    batches: int = Field(2, ge=1, le=1_000_000, description="Training-size batches behind each step of time.")
    adopt: bool = Field(
        True, description="Go on with the interval found; false: say it, and train as before."
    )

    @field_validator("widths", mode="before")
    @classmethod
    def _one_or_more(cls, raw: Any) -> Any:
        return raw if isinstance(raw, list | tuple) else [raw]

    @model_validator(mode="after")
    def _on_a_grid(self) -> "AutoClip":
        if not _whole(1 / self.step):
            raise ValueError(f"step {self.step} does not divide 1")
        if not self.widths:
            raise ValueError("widths names none: there is nothing to try")
        for width in self.widths:
            if not (0 < width <= 1 and _whole(width / self.step)):
                raise ValueError(f"width {width} is not a number of steps of {self.step} from 0 to 1")
        if self.adopt and (self.low, self.high) != (0, 1):
            raise ValueError("auto finds low and high itself: leave them out, or say adopt: false")
        return self

    def candidates(self, block_size: int) -> tuple[Clip, ...]:
        """The intervals tried, [0, 1] first. [1, 1] is the likelihood at block size 1, elsewhere no bound."""
        if block_size == 1:
            return Clip(), Clip(low=1, high=1)
        steps = round(1 / self.step)
        wide = [round(width * steps) for width in self.widths]
        found = [Clip(low=i / steps, high=(i + w) / steps) for w in wide for i in range(steps - w + 1)]
        return tuple(dict.fromkeys([Clip(), *found]))


def _whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-6 and number > 0.5


def _named(raw: Any) -> Any:
    """`clip: auto` is short for its name; bounds without a name are fixed."""
    if isinstance(raw, str):
        return {"name": raw}
    searching = AutoClip.model_fields.keys() - Clip.model_fields.keys()
    if isinstance(raw, Mapping) and searching.isdisjoint(raw):
        return {"name": "fixed", **raw}
    return raw


AnyClip = Annotated[Clip | AutoClip, Field(discriminator="name"), BeforeValidator(_named)]
