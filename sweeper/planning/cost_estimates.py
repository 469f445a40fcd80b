"""What a trial or a pretrain will take, as far as is known: by those that ended, else by a calibration."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sweeper.spec.budget import Amount
from trainer.config.train_config import content_hash

# What decides how long a step takes and how much memory it needs.
OF_RUN = ("data.", "model.", "objective.", "compute.", "evaluation.", "accumulate")
OF_PHASE = (
    "batch_size",
    "block_size",
    "blocks.name",
    "blocks.sizes",
    "blocks.shares",
    "masking.name",
    "clip.name",
    "clip.batches",
    "clip.step",
    "clip.widths",
)


class Measured(NamedTuple):
    """Of one shape, alone on the machine."""

    step: float  # seconds
    evaluation: float  # seconds of one
    end: float  # seconds of what is measured once, behind the last step
    begin: float  # seconds until the first step
    memory: int  # bytes at most, of the GPU where there is one
    disk: int  # bytes of its checkpoints

    def seconds(self, steps: int, every: int) -> float:
        return self.begin + steps * self.step + max(0, (steps - 1) // every) * self.evaluation + self.end


def shape_of(values: Mapping[str, Any], phase: str) -> str:
    """Runs of one shape take as long for a step and as much memory. values: dotted and complete."""
    own = {f"{phase}.{name}" for name in OF_PHASE}
    parts = {key: value for key, value in values.items() if key.startswith(OF_RUN) or key in own}
    hybrid = {"ar": True} if values.get(f"{phase}.ar_weight") else {}  # whatever it weighs
    views = {"complementary": True} if values.get(f"{phase}.complementary") else {}
    return content_hash({"phase": phase, **hybrid, **views, **parts})


class CostEstimates:
    """What is said of a phase of a run by its shape."""

    def __init__(self, gpu: float, measured: Mapping[str, Measured]):
        """gpu: the share of one that a worker has. measured: by shape."""
        self._gpu, self._measured = gpu, measured
        self._ended: dict[str, list[float]] = {}  # by shape, the seconds a step of what ran to its end

    def learn(self, values: Mapping[str, Any], phase: str, steps: int, seconds: float) -> None:
        """Of a run that was not cut off. steps: those that took the seconds."""
        if steps > 0:
            self._ended.setdefault(shape_of(values, phase), []).append(seconds / steps)

    def of(self, values: Mapping[str, Any], phase: str, steps: int) -> Amount:
        """steps: those that are left. 0 seconds where nothing is known."""
        seconds = self._seconds(values, phase, steps) if steps else 0.0
        tokens = steps * values[f"{phase}.batch_size"] * values["data.length"]
        return Amount(seconds=seconds, gpu_seconds=seconds * self._gpu, tokens=tokens)

    def _seconds(self, values: Mapping[str, Any], phase: str, steps: int) -> float:
        shape = shape_of(values, phase)
        if rates := self._ended.get(shape):
            return steps * sum(rates) / len(rates)
        if shape in self._measured:
            return self._measured[shape].seconds(steps, values["evaluation.every"])
        # A shape that nobody has seen: as the slowest that somebody has.
        slowest = max((sum(rates) / len(rates) for rates in self._ended.values()), default=0.0)
        return steps * slowest
