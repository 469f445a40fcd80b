"""Settings from dotted values, and everything that is wrong with them in sentences. No torch."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from trainer.values import Settings, TwoMeanings, kinds, named, nest

SAID = 20  # problems that are spelt out
HEAD, TAIL = 350, 150  # characters of a sentence that says a value which is longer than any sentence

Kind = TypeVar("Kind", bound=Settings)


class Problem(NamedTuple):
    key: str  # dotted name; '' where the problem belongs to no single field
    sentence: str


class InvalidConfig(ValueError):
    """Every problem of a configuration, each with the field it belongs to."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        said = [f"{p.key}: {p.sentence}" if p.key else p.sentence for p in problems]
        super().__init__("; ".join(map(shortened, said)))


class MissingFiles(InvalidConfig):
    """All that it says is well; a file that it names cannot be had, here and now."""


def first_of(sentences: Sequence[str]) -> list[str]:
    """The first of many, and how many more there are; none of them is longer than some lines."""
    more = [f"and {len(sentences) - SAID:,} more"] if len(sentences) > SAID else []
    return [*map(shortened, sentences[:SAID]), *more]


def shortened(sentence: str) -> str:
    """As it is, or without its middle."""
    if len(sentence) <= HEAD + TAIL:
        return sentence
    return f"{sentence[:HEAD]} ... {sentence[-TAIL:]}"


def refusal(problems: list[Problem]) -> PydanticCustomError:
    """For a validator of several fields: each of the problems with its own."""
    return PydanticCustomError("refused", "what is said makes no sense together", {"problems": problems})


def checked(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Settings of any kind from dotted or nested values. Raises InvalidConfig with every problem found."""
    try:
        return kind.model_validate(nest(values))
    except ValidationError as error:
        found = [problem for each in error.errors() for problem in _problems(kind, each)]
        raise InvalidConfig(found) from None
    except TwoMeanings as error:
        raise InvalidConfig([Problem(error.key, error.sentence)]) from None


def _problems(settings: type[BaseModel], error: Any) -> list[Problem]:
    """A pydantic error as dotted keys and sentences."""
    key = ".".join(_without_tags(settings, error["loc"]))
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    match kind:
        case "refused":
            return context["problems"]
        case "value_error":
            return [Problem(key, str(context["error"]))]
        case "extra_forbidden":
            return [Problem(key, "unknown")]
        case "missing":
            return [Problem(key, "missing")]
        case "union_tag_not_found":
            others = ", ".join(f"{key}.{each}" for each in given)
            return [Problem(f"{key}.name", f"missing, but needed for {others}" if others else "missing")]
        case "union_tag_invalid":
            names = context["expected_tags"].replace("'", "")
            return [Problem(f"{key}.name", f"{context['tag']!r} is none of {names}")]
        case "literal_error":
            names = context["expected"].replace("'", "").replace(" or ", ", ")
            return [Problem(key, f"{given!r} is none of {names}")]
        case "model_type" | "model_attributes_type":
            return [Problem(key, f"{given!r} is a value, and {key} a group of values")]
    return [Problem(key, f"{rule(error)}, got {given!r}")]


def rule(error: Any) -> str:
    """What pydantic asks for: 'must be greater than 0'."""
    said = re.sub(r"^\w+ should", "must", error["msg"])
    return said.partition(", unable to")[0].partition(", got ")[0]


def _without_tags(settings: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """('finetune', 'schedule', 'gaussian', 'mu') -> ['finetune', 'schedule', 'mu']: a class is no place."""
    words: list[str] = []
    here: Any = settings  # what may stand at this place
    for part in loc:
        members = kinds(here)
        if len(members) > 1:
            here = named(part, members)
        else:
            words.append(str(part))
            here = _inside(here, members, part)
    return words


def _inside(annotation: Any, members: tuple[type[BaseModel], ...], part: int | str) -> Any:
    """Of an item of a list, or of a field by the name that a user gives it; None where there is none."""
    if isinstance(part, int):
        return next(iter(get_args(annotation)), None)
    fields = (field for each in members for field in each.model_fields.items())
    return next((info.annotation for word, info in fields if (info.alias or word) == part), None)
