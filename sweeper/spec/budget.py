"""What may a sweep spend? Amounts, and the units of its caps. The section of a specification: sections.py."""

from typing import NamedTuple


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
