"""TrainConfig: a whole training run as frozen values. No torch here: specs are checked without it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from trainer.data.union import AnyDataSet
from trainer.data.pydocs import PyDocs
from trainer.objectives.union import AnyObjective
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.reweighting import AnyReweighting, Unweighted
from trainer.schedules import AnySchedule, Clip, LogLinear
from trainer.settings import Settings, flatten, nest
from trainer.sizes import ModelConfig, OptimizerConfig, fill_from_size

# Part of every stage's key: raise it when a change makes an old pretrain differ from a new one.
TRAINER_VERSION = 1


class Phase(Settings):
    """One stretch of training: pretrain or finetune."""

    steps: int = Field(0, ge=0, description="Optimizer steps.")
    block_size: int = Field(
        ge=1, description="Block size L', in tokens. Pretrain: data.length; finetune: 16 at most."
    )
    schedule: AnySchedule = LogLinear()
    clip: Clip = Clip()
    reweighting: AnyReweighting = Unweighted()
    antithetic: bool = Field(True, description="Stratify t over all blocks of a batch.")
    batch_size: int = Field(16, ge=1, description="Sequences in an optimizer step.")
    lr: float = Field(gt=0, description="Peak learning rate. Default: the model size's own.")
    warmup: float = Field(
        0.05,
        ge=0,
        description="Linear warm-up: below 1 a fraction of the phase, from 1 on a number of steps.",
    )

    @property
    def warmup_steps(self) -> int:
        return round(self.warmup * self.steps if self.warmup < 1 else self.warmup)


class Finetune(Phase):
    steps: int = Field(200, ge=1, description="Optimizer steps.")
    carry_optimizer: bool = Field(
        True, description="Go on with the pretrain's AdamW moments; false: start with fresh ones."
    )


class EvaluationConfig(Settings):
    """What the bound is estimated on: part of the metric's identity or provenance, never searched."""

    every: int = Field(50, ge=1, description="Optimizer steps between two evaluations.")
    sequences: int = Field(128, ge=2, description="Packed sequences evaluated, of each split.")
    draws: int = Field(4, ge=1, description="Masks per block where the bound is sampled.")
    seed: int = Field(0, ge=0, description="Of the evaluation's sequences and masks.")
    batch_size: int = Field(64, ge=1, description="Sequences in one forward pass.")
    variance_batches: int = Field(20, ge=0, description="Training-size batches behind var_nelbo.")
    test: bool = Field(True, description="Score the best checkpoint on test when the run has ended.")


class CheckpointConfig(Settings):
    every: float = Field(20.0, gt=0, description="Seconds of training between two checkpoints.")


class TrainConfig(Settings):
    """One run: a pretrain phase (possibly empty, possibly shared), then a finetune phase."""

    seed: int = Field(0, ge=0, description="Of weights, data order, times, masks and dropout.")
    data: AnyDataSet = PyDocs()
    model: ModelConfig
    objective: AnyObjective = BlockDiffusion()
    optimizer: OptimizerConfig
    pretrain: Phase
    finetune: Finetune
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    log_every: int = Field(10, ge=1, description="Optimizer steps between two rows of train_loss.")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, raw: Any) -> Any:
        """Defaults that depend on another field are resolved here, so that a config is complete."""
        if not isinstance(raw, Mapping):
            return raw
        filled = fill_from_size(raw)
        length = dict(filled.get("data") or {}).get("length", PyDocs.model_fields["length"].default)
        objective = dict(filled.get("objective") or {}).get("name", "bd3lm")
        for phase, usual in (("pretrain", length), ("finetune", min(16, length) if isinstance(length, int) else 16)):
            only = {"ar": 1, "mdlm": length}.get(objective, usual)
            filled[phase] = {"block_size": only, **dict(filled.get(phase) or {})}
        return filled

    @model_validator(mode="after")
    def _check_phases(self) -> "TrainConfig":
        for name in ("pretrain", "finetune"):
            phase: Phase = getattr(self, name)
            problem = self.objective.problem(phase, self.data.length)
            if problem:
                field, sentence = problem
                raise PydanticCustomError("phase", "{sentence}", {"key": f"{name}.{field}", "sentence": sentence})
        return self

    @classmethod
    def from_dotted(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Builds a run from dotted or nested values. Raises InvalidConfig with every problem found."""
        try:
            return cls.model_validate(nest(values))
        except ValidationError as error:
            raise InvalidConfig([_problem(each) for each in error.errors()]) from None
        except ValueError as error:
            raise InvalidConfig([Problem("", str(error))]) from None

    def to_dotted(self) -> dict[str, Any]:
        return flatten(self.model_dump(mode="json"))

    def content(self) -> dict[str, Any]:
        """What makes two runs the same configuration: all but the seed and what cannot move a result."""
        return {
            key: value
            for key, value in self.to_dotted().items()
            if key != "seed" and not key.startswith("checkpoint.")
        }

    def stage_key(self) -> str:
        """The name of the pretrain that this run branches from: equal keys, equal bits."""
        parts = ("data", "model", "objective", "optimizer", "pretrain", "seed")
        values = {k: v for k, v in self.to_dotted().items() if k.split(".")[0] in parts}
        return content_hash({"trainer": TRAINER_VERSION, **values})


class Problem(NamedTuple):
    key: str  # dotted name; '' where the problem belongs to no single field
    sentence: str


class InvalidConfig(ValueError):
    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__("; ".join(f"{p.key}: {p.sentence}" if p.key else p.sentence for p in problems))


def content_hash(values: Mapping[str, Any]) -> str:
    """16 hex digits of SHA-256 over the canonical JSON of the values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _problem(error: Any) -> Problem:
    """A pydantic error as a dotted key and a sentence; the tags of unions are not part of a name."""
    if "key" in error.get("ctx", {}) and error["type"] == "phase":
        return Problem(error["ctx"]["key"], error["ctx"]["sentence"])
    key = ".".join(_without_tags(error["loc"]))
    if error["type"] == "extra_forbidden":
        return Problem(key, "unknown")
    return Problem(key, f"{error['msg'][:1].lower()}{error['msg'][1:]}, got {error['input']!r}")


def _without_tags(loc: tuple[int | str, ...]) -> list[str]:
    """('finetune', 'schedule', 'gaussian', 'mu') -> ['finetune', 'schedule', 'mu']."""
    tagged = {"data", "objective", "schedule", "reweighting"}
    return [str(part) for i, part in enumerate(loc) if not (i and loc[i - 1] in tagged and i + 1 < len(loc))]
