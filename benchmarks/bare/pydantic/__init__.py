"""As much of pydantic as the trainer's settings use, for a bare machine (benchmarks/gpu_check.py) without it.

It fills in defaults, chooses classes by name and runs validators; bounds and types it takes on trust. So it
is for values that a benchmark wrote, never for a user's. tests/benchmarks/test_bare.py holds it to the
original."""

import inspect
import json
import sys
from abc import ABCMeta
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, Union, get_args, get_origin

from pydantic.fields import ABSENT, FieldInfo

ConfigDict = dict


class ValidationError(ValueError):
    def errors(self) -> list[dict[str, Any]]:
        return [{"type": "value_error", "loc": (), "input": None, "ctx": {"error": str(self)}}]


class BeforeValidator(NamedTuple):
    of: Callable[[Any], Any]


class AfterValidator(NamedTuple):
    of: Callable[[Any], Any]


class Hook(NamedTuple):
    """A method that looks at a value: of a field, or of a whole model."""

    of: Any
    mode: str
    fields: tuple[str, ...]  # none: the model

    def __call__(self, cls: type, value: Any) -> Any:
        return self.of.__func__(cls, value) if isinstance(self.of, classmethod) else self.of(value)


def Field(
    default: Any = ABSENT,
    *,
    alias: str | None = None,
    discriminator: str | None = None,
    exclude: bool = False,
    **rules: Any,
) -> Any:
    return FieldInfo(default, alias, discriminator, exclude=exclude)


def PrivateAttr(default: Any) -> Any:
    return default


def field_validator(*fields: str, mode: str = "after") -> Callable[[Any], Hook]:
    return lambda function: Hook(function, mode, fields)


def model_validator(*, mode: str) -> Callable[[Any], Hook]:
    return lambda function: Hook(function, mode, ())


class BaseModel(metaclass=ABCMeta):  # noqa: B024
    model_config: ClassVar[dict[str, Any]] = {}
    model_fields: ClassVar[dict[str, FieldInfo]] = {}
    _hooks: ClassVar[dict[str, Hook]] = {}

    def __init_subclass__(cls, **config: Any) -> None:
        cls.model_config = {**cls.__mro__[1].model_config, **cls.__dict__.get("model_config", {}), **config}
        inherited = [base for base in cls.__mro__[1:] if issubclass(base, BaseModel)]
        hooks = {name: each for name, each in cls.__dict__.items() if isinstance(each, Hook)}
        cls._hooks = {
            name: each for base in reversed(inherited) for name, each in base._hooks.items()
        } | hooks
        where = vars(sys.modules[cls.__module__])
        annotations = inspect.get_annotations(cls)
        own = {
            name: eval(each, where) if isinstance(each, str) else each for name, each in annotations.items()
        }
        fields = {name: each for base in reversed(inherited) for name, each in base.model_fields.items()}
        for name, annotation in own.items():
            if not name.startswith("_") and name != "model_config" and get_origin(annotation) is not ClassVar:
                said = cls.__dict__.get(name, ABSENT)
                info = said if isinstance(said, FieldInfo) else FieldInfo(said)
                fields[name] = info._replace(annotation=annotation)
        cls.model_fields = fields

    def __init__(self, **values: Any):
        self.__dict__.update(type(self).model_validate(values).__dict__)

    @classmethod
    def model_validate(cls, raw: Any) -> Self:
        if isinstance(raw, cls):
            return raw
        for hook in cls._model_hooks("before"):
            raw = hook(cls, raw)
        if not isinstance(raw, Mapping):
            raise ValidationError(f"{cls.__name__}: {raw!r} is no group of values")
        names = {info.alias or name: name for name, info in cls.model_fields.items()}
        if unknown := set(raw) - set(names):
            raise ValidationError(f"{cls.__name__}: unknown: {', '.join(map(str, unknown))}")
        values = {}
        for key, name in names.items():
            info = cls.model_fields[name]
            if key in raw:
                values[name] = cls._field(name, info, raw[key])
            elif info.default is ABSENT:
                raise ValidationError(f"{cls.__name__}.{key}: missing")
            else:
                values[name] = info.default
        made = cls._of(values)
        for hook in cls._model_hooks("after"):
            made = hook(cls, made)
        return made

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        return cls.model_validate(json.loads(text))

    @classmethod
    def _of(cls, values: Mapping[str, Any]) -> Self:
        made = cls.__new__(cls)
        made.__dict__.update(values)
        return made

    @classmethod
    def _model_hooks(cls, mode: str) -> list[Hook]:
        return [hook for hook in cls._hooks.values() if hook.mode == mode and not hook.fields]

    @classmethod
    def _field(cls, name: str, info: FieldInfo, value: Any) -> Any:
        hooks = [hook for hook in cls._hooks.values() if name in hook.fields]
        for hook in hooks:
            value = hook(cls, value) if hook.mode == "before" else value
        value = converted(info.annotation, value, info.discriminator)
        for hook in hooks:
            value = hook(cls, value) if hook.mode == "after" else value
        return value

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        return self._of({**self.__dict__, **(update or {})})

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: set[str] | None = None,
        exclude: set[str] | None = None,
        exclude_none: bool = False,
    ) -> dict[str, Any]:
        by_alias = self.model_config.get("serialize_by_alias")
        return {
            (info.alias or name) if by_alias else name: dumped(self.__dict__[name], mode, exclude_none)
            for name, info in self.model_fields.items()
            if (include is None or name in include) and name not in (exclude or ()) and not info.exclude
            if not (exclude_none and self.__dict__[name] is None)
        }

    def model_dump_json(self) -> str:
        return json.dumps(self.model_dump(mode="json"))

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.model_dump() == other.model_dump()  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self.model_dump_json())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model_dump()})"


def dumped(value: Any, mode: str, exclude_none: bool) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode=mode, exclude_none=exclude_none)
    if isinstance(value, list | tuple):
        found = [dumped(each, mode, exclude_none) for each in value]
        return found if mode == "json" else type(value)(found)
    return value


def converted(annotation: Any, value: Any, by: str | None = None) -> Any:
    """The value as a field so annotated holds it. by: the key that chooses a class of a union."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        kind, *extras = inside
        by = next((each.discriminator for each in extras if isinstance(each, FieldInfo)), by)
        for extra in reversed(extras):
            value = extra.of(value) if isinstance(extra, BeforeValidator) else value
        value = converted(kind, value, by)
        for extra in extras:
            value = extra.of(value) if isinstance(extra, AfterValidator) else value
        return value
    if origin in (Union, UnionType):
        return _of_union(inside, value, by)
    if origin is Literal and value not in inside:
        raise ValidationError(f"{value!r} is none of {', '.join(map(str, inside))}")
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(converted(inside[0], each) for each in value)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation.model_validate(value)
    if annotation in (int, float) and value is not None and not isinstance(value, bool):
        return annotation(value)
    return value


def _of_union(kinds: tuple[Any, ...], value: Any, by: str | None) -> Any:
    models = [each for each in kinds if isinstance(each, type) and issubclass(each, BaseModel)]
    if value is None or isinstance(value, tuple(models)):
        return value
    if by is not None:
        name = value.get(by) if isinstance(value, Mapping) else value
        for kind in models:
            if kind.model_fields[by].default == name:
                return kind.model_validate(value)
        raise ValidationError(f"{name!r} is none of {', '.join(each.__name__ for each in models)}")
    others = [each for each in kinds if each is not type(None)]
    return converted(others[0], value) if len(others) == 1 else value
