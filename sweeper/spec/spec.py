"""SweepSpec: a whole sweep as frozen values, read from YAML and checked completely before anything starts.

`load_spec` raises InvalidSpec with every problem, each with its line. No torch, ray or optuna here.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, field_serializer, field_validator

from sweeper.spec.budget import Budget
from sweeper.spec.constraints import Constraint
from sweeper.spec.dry_run import Rehearsal
from sweeper.spec.reading import Reading
from sweeper.spec.reference import Reference
from sweeper.spec.soundness import check_together
from sweeper.spec.space import AnyDimension, Space
from sweeper.spec.variants import settle
from sweeper.spec.yaml_source import InvalidSpec, Problem, parse
from sweeper.strategies.pruners import PRUNERS, AnyPruner
from trainer.config.names import did_you_mean, nearest
from trainer.config.train_config import TrainConfig
from trainer.metrics import ALSO_SEARCHED, RANKABLE
from trainer.values import Scalar, Settings, flatten

Values = dict[str, Scalar]
NAMED = "letters, digits, spaces and . : + = @ _ -, a letter or digit first"  # what a sweep's name may be


def _listed(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


def _words(value: Any) -> list[str]:
    return [str(each) for each in _listed(value)]


class Search(Settings):
    """How configurations are proposed. Its trials share one seed, hence pretrain, data order and masks."""

    sampler: Literal["tpe", "random", "grid", "fixed", "nsgaii"] = "tpe"
    trials: int = Field(ge=0, description="Configurations to try, baselines not counted.")
    seed: int = Field(0, ge=0, description="Of the proposals, and of every trial of the search.")
    points: tuple[Values, ...] = Field(
        (), description="Proposed first; sampler `fixed` proposes nothing else."
    )
    warm_start: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (), description="Earlier sweeps of the same database, whose trials the sampler learns from."
    )


class Confirm(Settings):
    """What is run once the search has ended: its best, on seeds and pretrains that it never saw."""

    top: int = Field(ge=1, description="Configurations, the best of the board; a baseline may be one.")
    seeds: int = Field(ge=2, description="Of each; the interval is over them.")


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


class SweepSpec(Settings):
    """One sweep. trainer: fixed values by dotted name; space: what varies; always: baselines, run first."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    name: str = Field(min_length=1, max_length=100, pattern=r"^\w[\w .:+=@-]*$")
    metrics: Annotated[tuple[str, ...], BeforeValidator(_words)] = Field(("val_ppl",), alias="metric")
    trainer: dict[str, Any] = Field({})
    dimensions: dict[str, AnyDimension] = Field({}, alias="space")
    constraints: tuple[str, ...] = ()
    always: tuple[Values, ...] = ()
    always_seeds: int = Field(3, ge=1, description="Seeds of each baseline, from search.seed on.")
    search: Search
    early_stopping: AnyPruner | None = None
    replicates: int = Field(1, ge=1, description="Seeds of each configuration of the search.")
    confirm: Confirm | None = None
    budget: Budget | None = None
    resources: Resources = Resources()
    keep: Keep = Keep()
    reference: Reference | None = None
    text: str = Field("", exclude=True, repr=False, description="The YAML that it was read from.")

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

    @property
    def longest(self) -> int:
        """Steps of the longest fine-tune that the search can propose."""
        searched = self.dimensions.get("finetune.steps")
        fixed = self.trainer.get("finetune.steps", TrainConfig.from_dotted({}).finetune.steps)
        return max(steps for steps in (searched.probes() if searched else [fixed]) if isinstance(steps, int))

    def train_config(self, params: Mapping[str, Any], seed: int) -> TrainConfig:
        """The run of one trial: fixed and proposed values merged first, then defaults that depend on them."""
        return TrainConfig.from_dotted({**self.trainer, **params, "seed": seed})

    def resolved(self) -> dict[str, Any]:
        """Plain JSON values, complete; from_resolved reads them back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_resolved(cls, values: Mapping[str, Any], text: str = "") -> "SweepSpec":
        return cls.model_validate({**values, "text": text})


def load_spec(path: Path | str, overrides: Sequence[str] = ()) -> SweepSpec:
    """Reads and checks a sweep. overrides: `key=value`, over what the file says.

    Raises InvalidSpec with every problem there is, OSError where the file cannot be read.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        document = parse("{}", str(path))
        sentence = f"not UTF-8 text: {error.reason} at byte {error.start}"
        raise InvalidSpec([Problem(document.mark(""), "", sentence)]) from None
    return read_spec(text, str(path), path.stem, overrides)


def read_spec(text: str, source: str, name: str, overrides: Sequence[str] = ()) -> SweepSpec:
    """As load_spec. source: what errors call the file; name: the sweep's, if the text has none."""
    document = parse(text, source)
    if document.problems and not document.values:
        raise InvalidSpec(document.problems)
    rest = settle(document, overrides, name)
    for number, override in enumerate(rest, start=1):
        document.override(override, number)

    reading = Reading(document)
    Rehearsal(reading).check()
    search = reading.own.setdefault("search", {})
    if isinstance(search, dict):
        _fill_in_trials(search, reading)
        search["points"] = reading.points
    said = "".join(f"# from the command line: {override}\n" for override in overrides)
    sections = {
        "trainer": reading.fixed,
        "space": reading.dimensions,
        "constraints": [each.text for each in reading.constraints],
        "always": reading.always,
    }
    spec = None
    try:
        spec = SweepSpec.model_validate({"name": name, **reading.own, **sections, "text": said + text})
    except ValidationError as error:
        _own_problems(error, reading)
    if spec and not reading.problems:
        check_together(spec, reading)
    if spec is None or reading.problems:
        raise InvalidSpec(reading.problems)
    return spec


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


FREE = ("budget.", "resources.", "keep.", "reference.")  # sections that may change between run and resume
_NOTHING = "nothing"
_PRUNER_FIELDS = {rule.model_fields["pruner"].default: rule.model_fields for rule in PRUNERS}
MISSING = {
    "search.trials": "how many configurations to try",
    "early_stopping.min_steps": "fine-tune steps before which no trial is ended",
    "confirm.top": "how many configurations to confirm",
    "confirm.seeds": "how many seeds to confirm each on",
}


def _fill_in_trials(search: dict[str, Any], reading: Reading) -> None:
    """How many, where the sampler or an empty space says it."""
    if "trials" in search:
        return
    sampler, size = search.get("sampler", "tpe"), reading.space.size()
    if not reading.dimensions:
        search["trials"] = 0
    elif sampler == "fixed":
        search["trials"] = len(reading.points)
    elif sampler == "grid":
        search["trials"] = len(reading.points) + (size or 0)


def _own_problems(error: ValidationError, reading: Reading) -> None:
    """Pydantic's errors in the words of the file."""
    fields: dict[str, list[str]] = {
        "search": list(Search.model_fields),
        "early_stopping": ["pruner", "min_steps", "..."],
        "confirm": list(Confirm.model_fields),
        "budget": list(Budget.model_fields),
        "resources": list(Resources.model_fields),
        "keep": list(Keep.model_fields),
        "reference": list(Reference.model_fields),
    }
    sentences: dict[str, list[str]] = {}
    for each in error.errors():
        top, *rest = [str(part) for part in each["loc"]]
        if top == "early_stopping" and rest:
            fields[top] = list(_PRUNER_FIELDS[rest.pop(0)])
        path = ".".join([top, *rest[:1]])
        rule = each["msg"].replace("Input should", "must").partition(", unable to")[0].partition(", got ")[0]
        if each["type"] == "extra_forbidden":
            found = nearest(rest[0], fields[top]) if rest else None
            sentences[path] = [f"unknown{did_you_mean(found and f'{top}.{found}')}"]
        elif each["type"] == "missing":
            sentences[path] = [f"missing: {MISSING.get(path, 'needed')}"]
        elif each["type"].startswith("union_tag"):
            sentences["early_stopping.pruner"] = [_which_pruner(each["input"])]
        elif each["type"] in ("model_type", "model_attributes_type"):
            sentences[path] = [f"a group of values ({', '.join(fields[top])}), not {each['input']!r}"]
        elif each["type"] == "value_error":
            sentences[path] = [str(each["ctx"]["error"])]
        elif each["type"] == "string_pattern_mismatch":
            sentences[path] = [f"{NAMED}; not {each['input']!r}"]
        elif path == "name" and each["type"] == "string_too_long":
            sentences[path] = [f"at most 100 characters, not {len(each['input'])}"]
        elif path == "name":
            sentences[path] = [
                f"must be text, in quotes where it looks like something else: name: '{each['input']}'"
            ]
        else:
            sentences.setdefault(path, []).append(f"{rule}, got {each['input']!r}")
    for path, said in sentences.items():
        short = [part.rpartition(", got ")[0] for part in said[:-1]]
        reading.problem(path, path, " or ".join([*short, said[-1].removeprefix("must be " if short else "")]))


def _which_pruner(given: Any) -> str:
    kinds = list(_PRUNER_FIELDS)
    if not isinstance(given, Mapping) or "pruner" not in given:
        return f"missing: one of {', '.join(kinds)}"
    meant = did_you_mean(nearest(str(given["pruner"]), kinds))
    return f"{given['pruner']!r} is no pruner; one of {', '.join(kinds)}{meant}"
