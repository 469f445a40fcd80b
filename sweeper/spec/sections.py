"""What do the sections of a specification say? Each a class: search, confirm, resources, keep."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from sweeper.spec.budget import Budget
from sweeper.spec.reference import Reference
from sweeper.strategies.samplers import SAMPLERS, Sampler, Tpe
from trainer.values import Scalar, Settings

Values = dict[str, Scalar]
# More is a mistake of typing, or a sweep that no machine ends.
MOST_TRIALS, MOST_SEEDS = 1_000_000, 1_000


def as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


class Search(Settings):
    """How configurations are proposed. Its trials share one seed, hence pretrain, data order and masks."""

    sampler: str = Tpe.name
    trials: int = Field(ge=0, le=MOST_TRIALS, description="Configurations to try, baselines not counted.")
    seed: int = Field(0, ge=0, description="Of the proposals, and of every trial of the search.")
    points: tuple[Values, ...] = Field(
        (), description="Proposed first; sampler `fixed` proposes nothing else."
    )
    warm_start: Annotated[tuple[str, ...], BeforeValidator(as_list)] = Field(
        (), description="Earlier sweeps of the same database, whose trials the sampler learns from."
    )

    @field_validator("sampler", mode="before")
    @classmethod
    def _is_known(cls, sampler: Any) -> Any:
        *others, last = map(repr, SAMPLERS)
        if not isinstance(sampler, str) or sampler not in SAMPLERS:
            raise ValueError(f"must be {', '.join(others)} or {last}, got {sampler!r}")
        return sampler

    @property
    def strategy(self) -> Sampler:
        return SAMPLERS[self.sampler]


class Confirm(Settings):
    """What is run once the search has ended: its best, on seeds and pretrains that it never saw."""

    top: int = Field(
        ge=1, le=MOST_SEEDS, description="Configurations, the best of the board; a baseline may be one."
    )
    seeds: int = Field(ge=2, le=MOST_SEEDS, description="Of each; the interval is over them.")


class Resources(Settings):
    """Of one trial. They say where it runs, not what it is: they may change between run and resume."""

    cpu: float = Field(1, gt=0)
    gpu: Literal["auto"] | float = Field("auto", description="Share of a GPU; auto: one where there is one.")
    slots: Literal["auto"] | int = Field("auto", description="Trials at a time; auto: as many as fit.")
    time_limit: float = Field(
        300, gt=0, description="Seconds without a sign of life until a trial is ended, and tried once more."
    )

    @field_validator("gpu")
    @classmethod
    def _no_debt(cls, gpu: Any) -> Any:
        if gpu != "auto" and gpu < 0:
            raise ValueError(f"must be auto, or 0 or more, got {gpu}")
        return gpu

    @field_validator("slots")
    @classmethod
    def _at_least_one(cls, slots: Any) -> Any:
        if slots != "auto" and slots < 1:
            raise ValueError(f"must be auto, or 1 or more, got {slots}")
        return slots


class Keep(Settings):
    """Which checkpoints of trials that have ended stay on disk. It may change between run and resume."""

    best: Literal["all"] | Annotated[int, Field(ge=1)] = Field(
        "all", description="Configurations, the best of the board; what was confirmed stays as well."
    )
    last: Literal["all", "running"] = Field(
        "all", description="running: of trials that have ended, the optimizer's state is not kept."
    )


# Those of one class each, by name. `early_stopping` is of as many as there are pruners; the others are lists,
# or groups of names that the trainer knows.
SECTIONS: Mapping[str, type[Settings]] = {
    "search": Search,
    "confirm": Confirm,
    "budget": Budget,
    "resources": Resources,
    "keep": Keep,
    "reference": Reference,
}
