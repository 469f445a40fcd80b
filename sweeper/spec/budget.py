"""What a sweep may spend: the section `budget` of a specification, and amounts in its units."""

from typing import NamedTuple

from pydantic import Field, model_validator

from trainer.values import Settings


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


class Amount(NamedTuple):
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    trials: int = 0
    tokens: int = 0

    def plus(self, other: "Amount") -> "Amount":
        return Amount(
            self.seconds + other.seconds,
            self.gpu_seconds + other.gpu_seconds,
            self.trials + other.trials,
            self.tokens + other.tokens,
        )

    def less(self, other: "Amount") -> "Amount":
        """Nothing is below 0."""
        return Amount(
            max(0.0, self.seconds - other.seconds),
            max(0.0, self.gpu_seconds - other.gpu_seconds),
            max(0, self.trials - other.trials),
            max(0, self.tokens - other.tokens),
        )


NONE = Amount()
# Of a cap: its name, and how much of an Amount's unit is one of it.
UNITS = {"hours": 3600.0, "gpu_hours": 3600.0, "trials": 1, "tokens": 1}
