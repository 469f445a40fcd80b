"""TrainConfig: a whole training run as frozen values. No torch here: specs are checked without it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from trainer.config.published import weights_hash
from trainer.data.pydocs import PyDocs
from trainer.data.union import AnyCorpus, AnyDataSet
from trainer.errors import CheckpointError
from trainer.noise.clips import AnyClip, AutoClip, Clip
from trainer.noise.masking import AnyMasking, Uniform
from trainer.noise.reweighting import AnyReweighting, Unweighted
from trainer.noise.schedules import AnySchedule, LogLinear
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.union import OBJECTIVES, AnyObjective
from trainer.paths import Place
from trainer.sampling.config import SamplesConfig
from trainer.settings.compute import ComputeConfig
from trainer.settings.sizes import ModelConfig, OptimizerConfig, fill_from_size
from trainer.values import Settings, TwoMeanings, flatten, group, nest, with_defaults

Kind = TypeVar("Kind", bound=Settings)

# Part of every stage's key: raise it when a change makes an old pretrain differ from a new one.
TRAINER_VERSION = 2


class Phase(Settings):
    """One stretch of training: pretrain or finetune."""

    steps: int = Field(0, ge=0, description="Optimizer steps.")
    block_size: int = Field(
        ge=1, description="Block size L', in tokens. Pretrain: data.length; finetune: 16 at most."
    )
    schedule: AnySchedule = LogLinear()
    clip: AnyClip = Clip()
    reweighting: AnyReweighting = Unweighted()
    masking: AnyMasking = Uniform()
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
        """Optimizer steps over which the learning rate rises."""
        return round(self.warmup * self.steps if self.warmup < 1 else self.warmup)


class Pretrain(Phase):
    """What trials share where it is equal; 0 steps where nothing is trained before the finetune."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Place | None = Field(
        None,
        alias="from",
        description="A published checkpoint that the weights start from: a folder, or a safetensors file.",
    )

    @field_validator("clip")
    @classmethod
    def _no_search(cls, clip: AnyClip) -> AnyClip:
        if isinstance(clip, AutoClip):
            raise ValueError("auto is for finetune: a pretrain is evaluated once, at its end")
        return clip


class Finetune(Phase):
    """What is evaluated, ranked and sampled from."""

    steps: int = Field(200, ge=1, description="Optimizer steps.")
    carry_optimizer: bool = Field(
        True, description="Go on with the pretrain's AdamW moments; false: start with fresh ones."
    )


class EvaluationConfig(Settings):
    """What the bound is estimated on: part of the metric's identity or provenance, never searched."""

    every: int = Field(50, ge=1, description="Optimizer steps between two evaluations.")
    sequences: int = Field(128, ge=2, description="Packed sequences evaluated, of each split.")
    draws: int = Field(4, ge=1, description="Masks per block where the bound is sampled.")
    error: float | None = Field(
        None,
        gt=0,
        description="Wanted standard error of masks alone, nats per token: sets their number, at most 64.",
    )
    seed: int = Field(0, ge=0, description="Of the evaluation's sequences and masks.")
    batch_size: int = Field(64, ge=1, description="Most sequences in one forward pass.")
    variance_batches: int = Field(20, ge=0, description="Training-size batches behind var_nelbo.")
    test: bool = Field(True, description="Score the best checkpoint on test when the run has ended.")
    zero_shot: tuple[AnyCorpus, ...] = Field(
        (),
        description="Other corpora that it is scored on then, with the run's own tokenizer, length and "
        "forced_eos: on test, or valid where a corpus has no test.",
    )

    @field_validator("zero_shot")
    @classmethod
    def _told_apart(cls, corpora: tuple[AnyCorpus, ...]) -> tuple[AnyCorpus, ...]:
        names = [data.name for data in corpora]
        for i, data in enumerate(corpora):
            if data.name in names[:i]:
                raise ValueError(f"{data.name} stands twice, and its rows would have one name")
            for key, value in data.model_dump(include=MODELS_OWN).items():
                if value != type(data).model_fields[key].default:
                    raise ValueError(f"{data.name}.{key}: a model is scored with its own; leave it out")
        return corpora


# Of a corpus that a model is scored on: as the model was trained.
MODELS_OWN = {"tokenizer", "vocab_size", "length", "forced_eos"}


class CheckpointConfig(Settings):
    every: float = Field(20.0, gt=0, description="Seconds of training between two checkpoints.")


class TrainConfig(Settings):
    """One run: a pretrain phase (possibly empty, possibly shared), then a finetune phase."""

    seed: int = Field(0, ge=0, description="Of weights, data order, times, masks and dropout.")
    data: AnyDataSet = PyDocs()
    model: ModelConfig
    objective: AnyObjective = BlockDiffusion()
    optimizer: OptimizerConfig
    pretrain: Pretrain
    finetune: Finetune
    evaluation: EvaluationConfig = EvaluationConfig()
    samples: SamplesConfig = SamplesConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    compute: ComputeConfig = ComputeConfig()
    accumulate: int = Field(
        1, ge=1, description="Micro-batches that a batch is trained in, one after the other: memory for time."
    )
    log_every: int = Field(10, ge=1, description="Optimizer steps between two rows of train_loss.")

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, raw: Any) -> Any:
        """Defaults that depend on another field are resolved here, so that a config is complete."""
        if not isinstance(raw, Mapping):
            return raw
        filled = fill_from_size(raw)
        said = str(group(filled, "data").get("length", ""))
        length = max(int(said), 1) if said.isdecimal() else PyDocs.model_fields["length"].default
        objective = str(group(filled, "objective").get("name", BlockDiffusion.model_fields["name"].default))
        only = {"ar": 1, "mdlm": length, "sedd": length}.get(objective)
        filled = _with_a_sampler(filled, objective)
        filled = with_defaults(filled, "pretrain", {"block_size": only or length})
        return with_defaults(filled, "finetune", {"block_size": only or min(16, length)})

    @model_validator(mode="after")
    def _check_phases(self) -> "TrainConfig":
        found = {
            name: self.objective.problem(phase, self.data.length)
            for name, phase in (("pretrain", self.pretrain), ("finetune", self.finetune))
        }
        if self.samples.num:
            drawn_from = (self.objective, self.data.length, self.finetune.block_size)
            found["samples"] = self.samples.problem(*drawn_from)
        problems = [Problem(f"{name}.{each[0]}", each[1]) for name, each in found.items() if each]
        for name, phase in (("pretrain", self.pretrain), ("finetune", self.finetune)):
            if not found[name] and (sentence := phase.masking.problem(phase.block_size, phase.clip)):
                problems.append(Problem(f"{name}.masking", sentence))
        blocks = self.objective.noisy and self.finetune.block_size < self.data.length
        if self.compute.attention == "flash" and blocks:
            sentence = "flash attends causally or fully (ar, mdlm, sedd), and block diffusion does neither"
            problems.append(Problem("compute.attention", sentence))
        if problems:
            raise PydanticCustomError("phases", "a phase makes no sense", {"problems": problems})
        return self

    @classmethod
    def from_dotted(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Builds a run from dotted or nested values. Raises InvalidConfig with every problem found."""
        return checked(cls, values)

    def to_dotted(self) -> dict[str, Any]:
        """Every field by its dotted name, as JSON has it: from_dotted gives the same config back."""
        return flatten(self.model_dump(mode="json"))

    def content(self) -> dict[str, Any]:
        """What makes two runs the same configuration: all but the seed and what cannot move a result."""
        return {
            key: value
            for key, value in self._identified().items()
            if key not in ("seed", "accumulate") and not key.startswith("checkpoint.")
        }

    def stage_content(self) -> dict[str, Any]:
        """What decides the pretrain that this run branches from."""
        parts = ("data", "model", "objective", "optimizer", "compute", "pretrain", "seed")
        return {key: value for key, value in self._identified().items() if key.split(".")[0] in parts}

    def stage_key(self) -> str:
        """The name of the pretrain that this run branches from: equal keys, equal bits."""
        return content_hash({"trainer": TRAINER_VERSION, **self.stage_content()})

    def published(self) -> str | None:
        """What identifies the checkpoint of pretrain.from: its weights, wherever they lie.

        Raises InvalidConfig where it is not there.
        """
        if self.pretrain.from_ is None:
            return None
        try:
            return weights_hash(Path(self.pretrain.from_))
        except CheckpointError as error:
            raise InvalidConfig([Problem("pretrain.from", str(error))]) from None

    def check_files(self) -> None:
        """Raises InvalidConfig where a checkpoint or a judge is not there that is named by its place."""
        self.published()
        judge = self.samples.judge
        if self.samples.num and judge and judge.startswith((".", "/", "~")) and not Path(judge).is_dir():
            raise InvalidConfig([Problem("samples.judge", f"{judge}: there is no such folder")])

    def _identified(self) -> dict[str, Any]:
        """The dotted values; no key for a published checkpoint without one, for uniform masking, for an
        evaluation of no wanted error or other corpora, for samples that are not drawn, nor for what is
        computed as it always was."""
        said = self.compute.identified()
        values = {
            key: value
            for key, value in self.to_dotted().items()
            if not key.startswith("compute.") or key.removeprefix("compute.") in said
        }
        del values["pretrain.from"]
        if self.evaluation.error is None:
            del values["evaluation.error"]
        if not self.evaluation.zero_shot:
            del values["evaluation.zero_shot"]
        if not self.samples.num:
            values = {key: value for key, value in values.items() if not key.startswith("samples.")}
        else:
            del values["samples.batch_size"]  # changes no sample
        for name, phase in (("pretrain", self.pretrain), ("finetune", self.finetune)):
            if phase.masking == Uniform():
                del values[f"{name}.masking.name"]
        published = self.published()
        return values if published is None else {**values, "pretrain.from": published}


class Problem(NamedTuple):
    key: str  # dotted name; '' where the problem belongs to no single field
    sentence: str


class InvalidConfig(ValueError):
    """Every problem of a configuration, each with the field it belongs to."""

    def __init__(self, problems: list[Problem]):
        self.problems = problems
        super().__init__("; ".join(f"{p.key}: {p.sentence}" if p.key else p.sentence for p in problems))


def checked(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """Settings of any kind from dotted or nested values. Raises InvalidConfig with every problem found."""
    try:
        return kind.model_validate(nest(values))
    except ValidationError as error:
        raise InvalidConfig([problem for each in error.errors() for problem in _problems(each)]) from None
    except TwoMeanings as error:
        raise InvalidConfig([Problem(error.key, error.sentence)]) from None


def content_hash(values: Mapping[str, Any]) -> str:
    """16 hex digits of SHA-256 over the canonical JSON of the values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _problems(error: Any) -> list[Problem]:
    """A pydantic error as dotted keys and sentences."""
    key = ".".join(_without_tags(error["loc"]))
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    match kind:
        case "phases":
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
    rule = error["msg"].replace("Input should", "must").partition(", unable to")[0].partition(", got ")[0]
    return [Problem(key, f"{rule}, got {given!r}")]


def _without_tags(loc: tuple[int | str, ...]) -> list[str]:
    """('finetune', 'schedule', 'gaussian', 'mu') -> ['finetune', 'schedule', 'mu']."""
    tagged = {"data", "objective", "schedule", "clip", "reweighting", "masking", "sampler"}
    before: tuple[int | str, ...] = ("", *loc)
    # An item of a list is one of a union, too.
    return [
        str(part)
        for part, last in zip(loc, before, strict=False)
        if last not in tagged and not isinstance(last, int)
    ]


def _with_a_sampler(nested: dict[str, Any], objective: str) -> dict[str, Any]:
    """Where only a sampler's fields are given, it is the objective's first."""
    samples = group(nested, "samples")
    first = [each.samplers[0].name for each in OBJECTIVES if each.model_fields["name"].default == objective]
    if not (first and group(samples, "sampler")):
        return nested
    return {**nested, "samples": with_defaults(samples, "sampler", {"name": first[0]})}
