"""SweepSpec: a whole sweep as frozen values, read from YAML and checked completely before anything starts.

`load_spec` raises InvalidSpec with every problem, each with its line. No torch, ray or optuna here.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, ValidationError, field_validator

from sweeper.reading import Reading
from sweeper.rehearsal import Rehearsal
from sweeper.space import AnyDimension, Space
from sweeper.yaml_source import InvalidSpec, Problem, parse
from trainer.config import TrainConfig
from trainer.metrics import RANKABLE
from trainer.names import did_you_mean, nearest
from trainer.settings import Scalar, Settings, flatten

Values = dict[str, Scalar]
MOST_GRID_POINTS = 10_000
NAMED = "letters, digits, spaces and . : + = @ _ -, a letter or digit first"  # what a sweep's name may be


class Search(Settings):
    """How configurations are proposed. Its trials share one seed, hence pretrain, data order and masks."""

    sampler: Literal["tpe", "random", "grid", "fixed"] = "tpe"
    trials: int = Field(ge=0, description="Configurations to try, baselines not counted.")
    seed: int = Field(0, ge=0, description="Of the proposals, and of every trial of the search.")
    points: tuple[Values, ...] = Field(
        (), description="Proposed first; sampler `fixed` proposes nothing else."
    )


class Resources(Settings):
    """Of one trial. They say where it runs, not what it is: they may change between run and resume."""

    cpu: float = Field(1, gt=0)
    gpu: Literal["auto"] | float = Field("auto", description="Share of a GPU; auto: one where there is one.")
    slots: Literal["auto"] | int = Field("auto", description="Trials at a time; auto: as many as fit.")

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


class SweepSpec(Settings):
    """One sweep. trainer: fixed values by dotted name; space: what varies; always: baselines, run first."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    name: str = Field(min_length=1, max_length=100, pattern=r"^\w[\w .:+=@-]*$")
    metric: str = "val_ppl"
    trainer: dict[str, Any] = Field({})
    dimensions: dict[str, AnyDimension] = Field({}, alias="space")
    always: tuple[Values, ...] = ()
    always_seeds: int = Field(3, ge=1, description="Seeds of each baseline, from search.seed on.")
    search: Search
    resources: Resources = Resources()
    text: str = Field("", exclude=True, repr=False, description="The YAML that it was read from.")

    @field_validator("metric")
    @classmethod
    def _may_rank(cls, metric: str) -> str:
        if metric not in RANKABLE:
            meant = did_you_mean(nearest(metric, RANKABLE))
            raise ValueError(f"{metric!r} cannot rank; one of {', '.join(RANKABLE)}{meant}")
        return metric

    @cached_property
    def space(self) -> Space:
        return Space(self.dimensions)

    @property
    def always_seed_values(self) -> range:
        """The baselines' seeds; the first is the search's, so that it shares the search's pretrain."""
        return range(self.search.seed, self.search.seed + self.always_seeds)

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
    for number, override in enumerate(overrides, start=1):
        document.override(override, number)

    reading = Reading(document)
    Rehearsal(reading).check()
    search = reading.own.setdefault("search", {})
    if isinstance(search, dict):
        _fill_in_trials(search, reading)
        search["points"] = reading.points
    said = "".join(f"# from the command line: {override}\n" for override in overrides)
    sections = {"trainer": reading.fixed, "space": reading.dimensions, "always": reading.always}
    spec = None
    try:
        spec = SweepSpec.model_validate({"name": name, **reading.own, **sections, "text": said + text})
    except ValidationError as error:
        _own_problems(error, reading)
    if spec and not reading.problems:
        _check_search(spec, reading)
    if spec is None or reading.problems:
        raise InvalidSpec(reading.problems)
    return spec


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What makes two resolved specs two sweeps, a sentence each: 'search.trials: 18 -> 24'. Not resources."""
    before, after = (
        {key: value for key, value in flatten(each).items() if not key.startswith("resources.")}
        for each in (old, new)
    )
    keys = sorted(key for key in {*before, *after} if before.get(key, _NOTHING) != after.get(key, _NOTHING))
    return [f"{key}: {before.get(key, _NOTHING)} -> {after.get(key, _NOTHING)}" for key in keys]


_NOTHING = "nothing"


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


def _check_search(spec: SweepSpec, reading: Reading) -> None:
    search, size = spec.search, spec.space.size()
    if not spec.dimensions and not spec.always:
        reading.problem("space", "space", "nothing to run: neither a space nor `always` says anything")
    elif not spec.dimensions and search.trials:
        reading.problem(
            "search.trials", "search.trials", "there is no space to search; fill `space`, or say 0"
        )
    elif spec.dimensions and not search.trials and not spec.always and search.sampler != "fixed":
        reading.problem("search.trials", "search.trials", "nothing to run: no trials, and no `always`")
    if spec.dimensions and search.sampler == "fixed" and not search.points:
        reading.problem("search.sampler", "search.points", "missing: sampler `fixed` proposes these alone")
    if search.sampler == "grid" and size is None:
        which = ", ".join(spec.space.continuous())
        reading.problem("search.sampler", "search.sampler", f"no grid over a continuous range: {which}")
    elif search.sampler == "grid" and size is not None and size > MOST_GRID_POINTS:
        said = f"a grid of {size:,} points; use tpe or random above {MOST_GRID_POINTS:,}"
        reading.problem("search.sampler", "search.sampler", said)


def _own_problems(error: ValidationError, reading: Reading) -> None:
    """Pydantic's errors in the words of the file."""
    fields: dict[str, list[str]] = {
        "search": list(Search.model_fields),
        "resources": list(Resources.model_fields),
    }
    sentences: dict[str, list[str]] = {}
    for each in error.errors():
        top, *rest = [str(part) for part in each["loc"]]
        path = ".".join([top, *rest[:1]])
        rule = each["msg"].replace("Input should", "must").partition(", unable to")[0].partition(", got ")[0]
        if each["type"] == "extra_forbidden":
            found = nearest(rest[0], fields[top]) if rest else None
            sentences[path] = [f"unknown{did_you_mean(found and f'{top}.{found}')}"]
        elif each["type"] == "missing":
            sentences[path] = ["missing: how many configurations to try"]
        elif each["type"] == "model_type":
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
