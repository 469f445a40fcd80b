"""Settings at random, made from their own fields: a class is covered by standing in its union.

A number is drawn from its field's range (ge, gt, le, lt). Where that has no end, or one that only keeps a
machine from more than it bears (a whole number, a thousand times the default or more), it goes to `far` times
the default; where it has one that it does not reach, to a thousandth of the default's distance from it.
"""

import math
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from hypothesis import assume
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from trainer.values import kinds

Kind = TypeVar("Kind", bound=BaseModel)
NEAR, BEARS = 1e-3, 1_000


def any_of(classes: tuple[type[Kind], ...]) -> st.SearchStrategy[Kind]:
    """Of any class of a union."""
    return st.sampled_from(classes).flatmap(settings_of)


def settings_of(kind: type[Kind], far: float = 10) -> st.SearchStrategy[Kind]:
    """Of this class, any values that it takes; each field now and then at its default."""
    fields = {info.alias or word: _of_field(info, far) for word, info in kind.model_fields.items()}
    return st.fixed_dictionaries(fields).map(lambda values: _checked(kind, values))


def _checked(kind: type[Kind], values: dict[str, Any]) -> Kind:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        if any(each["loc"] for each in error.errors()):
            raise  # of a single field, whose range was kept to
        assume(False)  # what fields say together, no field tells
        raise


def _of_field(info: FieldInfo, far: float) -> st.SearchStrategy[Any]:
    drawn = _of_annotation(info.annotation, info, far)
    if info.is_required():
        assert drawn is not None, f"no values known for {info}"
        return drawn
    default = st.just(info.get_default(call_default_factory=True))
    return default if drawn is None else st.one_of(drawn, default)


def _of_annotation(annotation: Any, info: FieldInfo, far: float) -> st.SearchStrategy[Any] | None:
    """None where nothing but the default is known to be right."""
    if members := kinds(annotation):
        return any_of(members)
    if get_origin(annotation) is Literal:
        return st.sampled_from(get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        parts = [_of_annotation(each, info, far) for each in get_args(annotation) if each is not NoneType]
        return st.one_of([st.none(), *(each for each in parts if each is not None)])
    if annotation is bool:
        return st.booleans()
    if annotation is str:
        return st.just("word") if info.is_required() else None
    if annotation is int:
        low, high = bounds(info, far)
        return st.integers(math.ceil(low), math.floor(high))
    if annotation is float:
        low, high = bounds(info, far)
        plain = st.floats(low, high)
        if 0 < low < high / 100:  # over orders of magnitude
            return plain | st.floats(math.log(low), math.log(high)).map(math.exp).filter(within(low, high))
        return plain
    return None


def bounds(info: FieldInfo, far: float) -> tuple[float, float]:
    """The least and the largest value that a number's field is given here."""
    default = info.default if isinstance(info.default, int | float) else 1
    most = max(1, far * abs(default))
    low = next((each.ge for each in info.metadata if isinstance(each, Ge)), None)
    high = next((each.le for each in info.metadata if isinstance(each, Le)), None)
    if info.annotation is int and high is not None and high >= BEARS * max(1, abs(default)):
        high = None
    above = next((each.gt for each in info.metadata if isinstance(each, Gt)), None)
    below = next((each.lt for each in info.metadata if isinstance(each, Lt)), None)
    if above is not None:
        low = above + 1 if info.annotation is int else above + NEAR * abs(default - above)
    if below is not None:
        high = below - 1 if info.annotation is int else below - NEAR * abs(below - default)
    return (-most if low is None else low), (most if high is None else high)


def within(low: float, high: float) -> Callable[[float], bool]:
    return lambda x: low <= x <= high
