"""SweepSpec: a whole sweep as frozen values, and what makes two of them two sweeps. No torch, ray or optuna.

sweeper/spec/load.py reads it from YAML, and checks it completely before anything starts.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, field_serializer, field_validator

from sweeper.spec.constraints import Constraint
from sweeper.spec.dimensions import AnyDimension, as_list
from sweeper.spec.reference import Reference
from sweeper.spec.sections import MOST_SEEDS, Budget, Confirm, Keep, Notify, Resources, Search, Settle, Values
from sweeper.spec.space import Space
from sweeper.spec.trainer_keys import joined
from sweeper.strategies.pruners import AnyPruner
from trainer.config.train_config import TrainConfig
from trainer.metrics import ALSO_SEARCHED, RANKABLE
from trainer.nearest import did_you_mean, nearest
from trainer.values import Settings, flatten

# Sections that may change between run and resume.
FREE = (
    "budget.",
    "resources.",
    "keep.",
    "reference.",
    "settle.",
    "notify.",
    "describe.",
    "tags.",
    "environment.",
)
# Of the evaluations that rank: a sweep that is made says it in its spec, an older one goes on without.
RANK_ERROR = "evaluation.rank_error"
Tag = Annotated[str, Field(min_length=1, max_length=60)]
_NOTHING = "nothing"


def _words(value: Any) -> list[str]:
    return [str(each) for each in as_list(value)]


class SweepSpec(Settings):
    """One sweep. trainer: fixed values by dotted name; space: what varies; always: baselines, run first."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    name: str = Field(min_length=1, max_length=100, pattern=r"^\w[\w .:+=@-]*$")
    metrics: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(("val_ppl",), alias="metric")
    trainer: dict[str, Any] = Field({})
    dimensions: dict[str, AnyDimension] = Field({}, alias="space")
    constraints: tuple[str, ...] = ()
    always: tuple[Values, ...] = ()
    always_seeds: int = Field(
        3, ge=1, le=MOST_SEEDS, description="Seeds of each baseline, from search.seed on."
    )
    search: Search
    early_stopping: AnyPruner | None = None
    replicates: int = Field(1, ge=1, le=MOST_SEEDS, description="Seeds of each configuration of the search.")
    confirm: Confirm | None = None
    settle: Settle | None = None
    budget: Budget | None = None
    resources: Resources = Resources()
    keep: Keep = Keep()
    reference: Reference | None = None
    notify: Notify | None = None
    describe: str = Field("", max_length=2000, description="What it is for, in words.")
    tags: Annotated[tuple[Tag, ...], BeforeValidator(as_list)] = Field((), max_length=40)
    environment: dict[str, str] = Field({}, description="What `${NAME}` was when the sweep was made.")
    text: str = Field("", exclude=True, repr=False, description="The YAML that it was read from.")

    @field_validator("describe", "tags")
    @classmethod
    def _is_shown_in_terminals(cls, said: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for text in (said,) if isinstance(said, str) else said:
            if not all(letter.isprintable() or (letter in "\n\t" and text is said) for letter in text):
                raise ValueError(f"has a character that is not printed: {text!r}")
        return said

    @field_validator("metrics")
    @classmethod
    def _may_be_searched_on(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        if not metrics:
            raise ValueError(f"missing: one of {', '.join(RANKABLE)}, and what else to search on")
        first, *others = metrics
        if first not in RANKABLE:
            meant = did_you_mean(nearest(first, RANKABLE))
            later = "; it may follow one of them in a list" if first in ALSO_SEARCHED else ""
            raise ValueError(f"{first!r} cannot rank; one of {', '.join(RANKABLE)}{meant}{later}")
        for i, each in enumerate(others):
            if each in others[:i] or each == first:
                raise ValueError(f"{each!r} stands twice")
            if each in RANKABLE:
                raise ValueError(f"{each!r} orders as {first} does: they are one bound")
            if each not in ALSO_SEARCHED:
                meant = did_you_mean(nearest(each, ALSO_SEARCHED))
                known = ", ".join(ALSO_SEARCHED)
                raise ValueError(f"{each!r} cannot be searched on; beside {first}, one of {known}{meant}")
        return metrics

    @field_serializer("metrics")
    def _as_said(self, metrics: tuple[str, ...]) -> str | list[str]:
        return metrics[0] if len(metrics) == 1 else list(metrics)

    @property
    def metric(self) -> str:
        """The first: it ranks, and it prunes."""
        return self.metrics[0]

    @cached_property
    def space(self) -> Space:
        return Space(self.dimensions, [Constraint(text) for text in self.constraints], self.trainer)

    @property
    def always_seed_values(self) -> range:
        """The baselines' seeds; the first is the search's, so that it shares the search's pretrain."""
        return range(self.search.seed, self.search.seed + self.always_seeds)

    @property
    def replicate_seed_values(self) -> range:
        """Of a configuration's replicates: those that follow the search's own."""
        return range(self.search.seed + 1, self.search.seed + self.replicates)

    @property
    def confirm_seed_values(self) -> range:
        """Seeds that nothing else in this sweep has used."""
        first = self.search.seed + max(self.always_seeds, self.replicates)
        return range(first, first + (self.confirm.seeds if self.confirm else 0))

    def race_seed(self, round: int) -> int:
        """Of the race's round, from 1: those that the baselines have come first, after the replicates'."""
        return self.search.seed + self.replicates - 1 + round

    @property
    def race_seed_values(self) -> range:
        """Of all its rounds."""
        return range(self.race_seed(1), self.race_seed(1 + (self.settle.seeds if self.settle else 0)))

    @property
    def longest(self) -> int:
        """Steps of the longest fine-tune that the search can propose."""
        searched = self.dimensions.get("finetune.steps")
        fixed = self.trainer.get("finetune.steps", TrainConfig.from_dotted({}).finetune.steps)
        return max(steps for steps in (searched.probes() if searched else [fixed]) if isinstance(steps, int))

    def train_config(self, params: Mapping[str, Any], seed: int) -> TrainConfig:
        """The run of one trial: fixed and proposed values merged first, then defaults that depend on them."""
        return TrainConfig.from_dotted({**joined(self.trainer, params), "seed": seed})

    def resolved(self) -> dict[str, Any]:
        """Plain JSON values, complete; from_resolved reads them back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_resolved(cls, values: Mapping[str, Any], text: str = "") -> "SweepSpec":
        return cls.model_validate({**values, "text": text})


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What makes two resolved specs two sweeps, a sentence each: 'search.trials: 18 -> 24'. Not what it
    may spend, where it runs, what is kept of it, and what it is held against.

    What the version that wrote the old one did not know has its default.
    """
    old = SweepSpec.from_resolved(old).resolved()
    before, after = (
        {key: value for key, value in flatten(each).items() if not f"{key}.".startswith(FREE)}
        for each in (old, new)
    )
    keys = sorted(key for key in {*before, *after} if before.get(key, _NOTHING) != after.get(key, _NOTHING))
    return [f"{key}: {before.get(key, _NOTHING)} -> {after.get(key, _NOTHING)}" for key in keys]
