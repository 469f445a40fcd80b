"""The base of everything that comes from outside, and the two forms it takes: nested, and dotted.

A hyperparameter is one field of one class; its dotted path (`finetune.schedule.mu`) is its name in
YAML, on the command line, in the store, in the leaderboard and in plots. Where there are several classes
to choose from, a union lists them, and each has a `name`.
"""

from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, model_validator

Scalar = bool | int | float | str | None


class Settings(BaseModel):
    """Frozen values from outside; an unknown key is an error, and so is a number that is not finite."""

    # What checks is built when something is first checked: a command that reads a few of them starts sooner.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _truth_is_no_number(cls, raw: Any) -> Any:
        """For Python true is 1; its word is no number for anyone, nor one of several."""
        if isinstance(raw, Mapping) and any(isinstance(value, bool | list | tuple) for value in raw.values()):
            numbers = _numbers(cls)
            return {name: _as_word(each) if name in numbers else each for name, each in raw.items()}
        return raw


def _as_word(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_word(each) for each in value]
    return str(value).lower() if isinstance(value, bool) else value


@cache
def _numbers(settings: type[BaseModel]) -> frozenset[str]:
    """The fields that take a number, or several, and no truth value; by what they are called outside, too."""
    taken = [(name, field.alias, _plain(field.annotation)) for name, field in settings.model_fields.items()]
    numbers = [names for *names, types in taken if types & {int, float} and bool not in types]
    return frozenset(name for names in numbers for name in names if name is not None)


def _plain(annotation: Any) -> set[Any]:
    """The types that a field so annotated may hold, unions, annotations and tuples taken apart."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType, tuple):
        return {each for part in get_args(annotation) for each in _plain(part)}
    return {annotation}


def kinds(annotation: Any) -> tuple[type[Any], ...]:
    """The settings classes that a field so annotated may hold, in order; none where it is a plain value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return (annotation,)
    if get_origin(annotation) is Annotated:
        return kinds(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(each for part in get_args(annotation) for each in kinds(part))
    return ()


def kind_of(settings: type[BaseModel]) -> str:
    """The `name` that chooses this class in its union."""
    return settings.model_fields["name"].default


def named(name: object, classes: tuple[type[Any], ...]) -> type[Any] | None:
    """The class among these that the name chooses; None where there is no such one."""
    return next((each for each in classes if kind_of(each) == name), None)


def flatten(nested: Mapping[str, Any]) -> dict[str, Any]:
    """{'data': {'length': 64}} -> {'data.length': 64}. Lists are leaves; an empty group has none."""
    return {key: value for key, value in _leaves(nested, "") if not isinstance(value, Mapping)}


def _leaves(nested: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            leaves += _leaves(value, f"{prefix}{key}.")
        else:
            leaves.append((f"{prefix}{key}", value))
    return leaves


class TwoMeanings(ValueError):
    """A key that is given both as a value and as a group of values, or twice."""

    def __init__(self, key: str, sentence: str):
        self.key, self.sentence = key, sentence
        super().__init__(f"{key}: {sentence}")


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """{'data.length': 64} -> {'data': {'length': 64}}. Mappings may be mixed with dotted keys.

    Raises TwoMeanings where one key is used both as a value and as a group of values.
    """
    nested: dict[str, Any] = {}
    for key, value in _leaves(values, ""):
        *groups, leaf = key.split(".")
        place = nested
        for name in groups:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise TwoMeanings(key, f"{name} is given a value of its own")
        if isinstance(value, Mapping) and isinstance(place.get(leaf, value), dict):
            place.setdefault(leaf, {})  # a group of which nothing is said
            continue
        if leaf in place:
            raise TwoMeanings(key, "given twice, or both as a value and as a group of values")
        place[leaf] = value
    return nested


def group(nested: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """nested[key], or nothing where it is absent or no group: its own check says so."""
    values = nested.get(key)
    return values if isinstance(values, Mapping) else {}


def with_defaults(nested: Mapping[str, Any], key: str, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """nested with defaults put into its group `key` where that says nothing; a non-group stays as it is."""
    values = nested.get(key, {})
    return {**nested, key: {**defaults, **values} if isinstance(values, Mapping) else values}
