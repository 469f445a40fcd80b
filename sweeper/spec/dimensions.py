"""What may one hyperparameter be? A choice, or a range: what a line of `space` says. No torch, no optuna.

A new kind is one class here and its name in the union at the foot. A trial is what suggests.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol, get_args

from pydantic import BeforeValidator, ConfigDict, Field, FiniteFloat, StrictInt, model_validator

from trainer.values import Scalar, Settings

BESIDE = ("when", "step")
MOST_PROBES = 64  # of an int range


class Trial(Protocol):
    """The part of optuna.Trial that a space needs."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...
    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int: ...


def as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


Allowed = Annotated[tuple[Scalar, ...], Field(min_length=1), BeforeValidator(as_list)]


class Dimension(Settings):
    """Abstract. A subclass is final; its field beside `when` and `step` carries the name that YAML uses."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    when: dict[str, Allowed] = Field({})

    @classmethod
    def word(cls) -> str:
        ((name, field),) = ((name, field) for name, field in cls.model_fields.items() if name not in BESIDE)
        return field.alias or name

    @abstractmethod
    def suggest(self, trial: Trial, name: str) -> Scalar: ...

    @abstractmethod
    def values(self) -> Sequence[Scalar] | None:
        """Every value, in order; None where there is a continuum."""

    @abstractmethod
    def probes(self) -> Sequence[Scalar]:
        """The values tried out before anything runs: every choice, the ends of a range, some between."""

    @abstractmethod
    def holds(self, value: Scalar) -> bool: ...


class Choice(Dimension):
    choice: tuple[Scalar, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _once(self) -> "Choice":
        for i, value in enumerate(self.choice):
            if value in self.choice[:i]:
                raise ValueError(f"{value!r} stands twice")
        return self

    def suggest(self, trial: Trial, name: str) -> Scalar:
        return trial.suggest_categorical(name, self.choice)

    def values(self) -> Sequence[Scalar]:
        return self.choice

    def probes(self) -> Sequence[Scalar]:
        return self.choice

    def holds(self, value: Scalar) -> bool:
        return value in self.choice


class _Range(Dimension):
    """Abstract. From low to high, both included."""

    bounds: tuple[Any, Any]

    @model_validator(mode="after")
    def _in_order(self) -> "_Range":
        if not self.low < self.high:
            raise ValueError(f"from low to high, but {self.low} is not below {self.high}")
        return self

    @property
    def low(self) -> Any:
        return self.bounds[0]

    @property
    def high(self) -> Any:
        return self.bounds[1]

    def values(self) -> Sequence[Scalar] | None:
        return None

    def probes(self) -> Sequence[Scalar]:
        between = self.low + (self.high - self.low) * 0.618034  # no whole number: a field may want one
        return self.low, self.high, between

    def holds(self, value: Scalar) -> bool:
        return (
            isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        )


Positive = Annotated[FiniteFloat, Field(gt=0)]
PositiveInt = Annotated[StrictInt, Field(gt=0)]


class Uniform(_Range):
    bounds: tuple[FiniteFloat, FiniteFloat] = Field(alias="uniform")

    def suggest(self, trial: Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high)


class LogUniform(_Range):
    bounds: tuple[Positive, Positive] = Field(alias="log_uniform")

    def suggest(self, trial: Trial, name: str) -> float:
        return trial.suggest_float(name, self.low, self.high, log=True)


class _IntRange(_Range):
    """Abstract."""

    def values(self) -> Sequence[int]:
        return range(self.low, self.high + 1)

    def probes(self) -> Sequence[int]:
        every = self.values()
        return [*every[:: max(1, len(every) // MOST_PROBES)], self.high]

    def holds(self, value: Scalar) -> bool:
        return isinstance(value, int) and super().holds(value)


class IntUniform(_IntRange):
    bounds: tuple[StrictInt, StrictInt] = Field(alias="int")
    step: PositiveInt = 1

    @model_validator(mode="after")
    def _ends_on_a_step(self) -> "IntUniform":
        if (self.high - self.low) % self.step:
            last = self.high - (self.high - self.low) % self.step
            raise ValueError(f"from {self.low} in steps of {self.step} comes to {last}, not to {self.high}")
        return self

    def suggest(self, trial: Trial, name: str) -> int:
        if self.step == 1:
            return trial.suggest_int(name, self.low, self.high)
        return trial.suggest_int(name, self.low, self.high, step=self.step)

    def values(self) -> Sequence[int]:
        return range(self.low, self.high + 1, self.step)

    def holds(self, value: Scalar) -> bool:
        return super().holds(value) and (int(value or 0) - self.low) % self.step == 0


class LogInt(_IntRange):
    bounds: tuple[PositiveInt, PositiveInt] = Field(alias="log_int")

    def suggest(self, trial: Trial, name: str) -> int:
        return trial.suggest_int(name, self.low, self.high, log=True)


AnyDimension = Choice | Uniform | LogUniform | IntUniform | LogInt
# By the word in YAML.
KINDS: Mapping[str, type[Dimension]] = {each.word(): each for each in get_args(AnyDimension)}
