"""What do the sections of a specification say? Each a class: search, confirm, resources, keep."""

import math
import shlex
from collections.abc import Mapping
from shutil import which
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sweeper.spec.dimensions import as_list
from sweeper.spec.reference import Reference
from sweeper.strategies.samplers import SAMPLERS, Sampler, Tpe
from trainer.values import Scalar, Settings

Values = dict[str, Scalar]
# More is a mistake of typing, or a sweep that no machine ends.
MOST_TRIALS, MOST_SEEDS = 1_000_000, 1_000


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


class Settle(Settings):
    """A race of the search's best on fresh seeds, once it has ended, until there is an answer
    (sweeper/statistics/race.py). It may change between run and resume."""

    within: float = Field(
        0.01, gt=0, lt=1, description="Loss that does not matter, of perplexity: 1% or 0.01."
    )
    until: Literal["answer", "winner", "chance"] = Field(
        "answer",
        description="answer: taking the first surely loses no more than `within`, or it is the winner; "
        "winner: it surely beats each of the others; chance: it is within `within` of the best, likely.",
    )
    confidence: float = Field(0.95, ge=0.5, lt=1)
    seeds: int = Field(
        8, ge=2, le=64, description="Rounds at most: each runs all that are left on one more seed."
    )
    contenders: int = Field(12, ge=2, le=40, description="Configurations in it at most.")
    by: str | None = Field(
        None, description="A dimension each of whose values has a race of its own; '': none, as unsaid."
    )

    @field_validator("by")
    @classmethod
    def _empty_is_none(cls, by: str | None) -> str | None:
        return by or None

    @field_validator("within", mode="before")
    @classmethod
    def _percent(cls, within: Any) -> Any:
        if not isinstance(within, str):
            return within
        said = within.strip()
        try:
            return float(said[:-1]) / 100 if said.endswith("%") else float(said)
        except ValueError:
            raise ValueError(f"must be a share like 1%, got {within!r}") from None

    @property
    def margin(self) -> float:
        """Nats per token."""
        return math.log1p(self.within)


class Budget(Settings):
    """The most that a sweep may spend, over all its drivers. It may be raised, or lifted."""

    hours: float | None = Field(None, gt=0, description="Of running time; while it is paused none passes.")
    gpu_hours: float | None = Field(None, gt=0, description="Of all its workers, by their shares of GPUs.")
    trials: int | None = Field(None, ge=1, description="Runs begun: baselines, replicates and all.")
    tokens: int | None = Field(None, ge=1, description="Trained on, pretrains included.")

    @model_validator(mode="after")
    def _says_something(self) -> "Budget":
        if all(value is None for value in self.model_dump().values()):
            raise ValueError(f"says nothing: {', '.join(Budget.model_fields)}")
        return self


class Resources(Settings):
    """Of one trial. They say where it runs, not what it is: they may change between run and resume."""

    cpu: float = Field(1, gt=0)
    gpu: Literal["auto"] | float = Field("auto", description="Share of a GPU; auto: one where there is one.")
    slots: Literal["auto"] | int = Field("auto", description="Trials at a time; auto: as many as fit.")
    time_limit: float = Field(
        300, gt=0, description="Seconds without a sign of life until a trial is ended, and tried once more."
    )

    fused: int = Field(
        1, ge=1, le=64, description="Trials in one process, those of equal shape trained as one; 1: none are."
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


def _split(command: Any) -> Any:
    return tuple(shlex.split(command)) if isinstance(command, str) else command


class Keep(Settings):
    """Which checkpoints of trials that have ended stay on disk. It may change between run and resume."""

    best: Literal["all"] | Annotated[int, Field(ge=1)] = Field(
        "all", description="Configurations, the best of the board; what was confirmed stays as well."
    )
    last: Literal["all", "running"] = Field(
        "all", description="running: of trials that have ended, the optimizer's state is not kept."
    )


class Notify(Settings):
    """A command that is run when the sweep ends, with the facts as JSON on its stdin. `run` and `resume`
    alone run it. It may change between run and resume."""

    command: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        min_length=1, description="With its arguments; no shell reads it."
    )
    on: Annotated[tuple[Literal["end", "failure", "answer"], ...], BeforeValidator(as_list)] = Field(
        ("end",),
        min_length=1,
        description="end: whenever a driver ends; failure: something failed; answer: there is one.",
    )

    def lacks(self) -> str:
        """What stands in the way of it on this machine; '' where nothing is seen to."""
        program = self.command[0]
        return "" if which(program) else f"notify: {program} is no program here, so that nobody will be told"


# Those of one class each, by name. `early_stopping` is of as many as there are pruners; the others are lists,
# or groups of names that the trainer knows.
SECTIONS: Mapping[str, type[Settings]] = {
    "search": Search,
    "confirm": Confirm,
    "settle": Settle,
    "budget": Budget,
    "resources": Resources,
    "keep": Keep,
    "reference": Reference,
    "notify": Notify,
}
