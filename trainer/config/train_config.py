"""TrainConfig: a whole training run as frozen values. No torch here: specs are checked without it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from trainer.config.evaluation import EvaluationConfig
from trainer.config.problems import InvalidConfig, MissingFiles, Problem, checked, refusal
from trainer.config.published import weights_hash
from trainer.data.pydocs import PyDocs
from trainer.data.union import CORPORA, AnyDataSet
from trainer.errors import CheckpointError
from trainer.noise.masking import Uniform
from trainer.objectives.base import Objective
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.union import OBJECTIVES, AnyObjective
from trainer.paths import absolute_if_there
from trainer.sampling.config import SamplesConfig
from trainer.sampling.union import samplers_of
from trainer.settings.compute import ComputeConfig
from trainer.settings.learning_rate import ConstantRate
from trainer.settings.phase import Finetune, Phase, Pretrain
from trainer.settings.sizes import ModelConfig, OptimizerConfig, fill_from_size
from trainer.values import Settings, flatten, group, kind_of, named, with_defaults

if TYPE_CHECKING:
    from trainer.settings.causal_lm import CausalLM

# Part of every stage's key: raise it when a change makes an old pretrain differ from a new one.
TRAINER_VERSION = 2


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
        source = _source(group(raw, "pretrain").get("from"))
        filled = fill_from_size(raw if source is None else with_defaults(raw, "model", source.shape()))
        data, objective = group(filled, "data"), group(filled, "objective")
        corpus = named(data.get("name"), CORPORA) or PyDocs
        said = str(data.get("length", ""))
        length = max(int(said), 1) if said.isdecimal() else corpus.model_fields["length"].default
        kind = named(objective.get("name", kind_of(BlockDiffusion)), OBJECTIVES)
        only = kind.only_block_size(length) if kind else None
        filled = _with_a_sampler(filled, kind)
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
            if not found[name] and (other := self._problem_of_sizes(phase)):
                problems.append(Problem(f"{name}.{other[0]}", other[1]))
            wrong = None if found[name] else phase.time.problem(phase.clip, phase.masking == Uniform())
            wrong = wrong or (None if found[name] else phase.problem_of_complement())
            problems += [Problem(f"{name}.{wrong[0]}", wrong[1])] if wrong else []
        if sentence := self._problem_of_looks():
            problems.append(Problem("evaluation.block_sizes", sentence))
        sizes = [n for n, _ in self.finetune.blocks.shares_of(self.finetune.block_size)]
        if self.objective.only_block_size(self.data.length) is None:
            sizes += self.evaluation.block_sizes
        blocks = self.objective.noisy and min(sizes) < self.data.length
        if self.compute.attention == "flash" and blocks:
            others = ", ".join(sorted(kind_of(each) for each in OBJECTIVES if each.whole or not each.noisy))
            sentence = f"flash attends causally or fully ({others}), and block diffusion does neither"
            problems.append(Problem("compute.attention", sentence))
        if problems:
            raise refusal(problems)
        return self

    def _problem_of_sizes(self, phase: Phase) -> tuple[str, str] | None:
        """(field, sentence) where the phase makes no sense at a block size that its `blocks` train."""
        others = [size for size, _ in phase.blocks.shares_of(phase.block_size) if size != phase.block_size]
        for size in others:  # that one is looked at by itself
            trained = phase.model_copy(update={"block_size": size})
            if wrong := self.objective.problem(trained, self.data.length):
                return "blocks.sizes", wrong[1]
            if sentence := phase.masking.problem(size, phase.clip):
                return "masking", f"at block size {size}: {sentence}"
        return None

    def _problem_of_looks(self) -> str | None:
        """Why the objective has no bound at one of evaluation.block_sizes; of one with a single block size
        there are no rows."""
        if self.objective.only_block_size(self.data.length) is not None:
            return None
        looks = (self.finetune.model_copy(update={"block_size": n}) for n in self.evaluation.block_sizes)
        wrong = (self.objective.problem(look, self.data.length) for look in looks)
        return next((each[1] for each in wrong if each), None)

    @classmethod
    def from_dotted(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Builds a run from dotted or nested values. Raises InvalidConfig with every problem found."""
        return checked(cls, values)

    def to_dotted(self) -> dict[str, Any]:
        """Every field by its dotted name, as JSON has it: from_dotted gives the same config back."""
        return flatten(self.model_dump(mode="json"))

    def within(self, phase: Phase) -> "TrainConfig":
        """The same with the phase's own weight decay, gradient norm and dropout, where it says some."""
        optimizer = phase.model_dump(include={"weight_decay", "clip_norm"}, exclude_none=True)
        model = phase.model_dump(include={"dropout"}, exclude_none=True)
        changed = {
            "optimizer": self.optimizer.model_copy(update=optimizer),
            "model": self.model.model_copy(update=model),
        }
        return self.model_copy(update=changed)

    @property
    def scoring(self) -> EvaluationConfig:
        """`evaluation`, in passes as much smaller as those of training are (`accumulate`)."""
        at_once = max(1, self.evaluation.batch_size // self.accumulate)
        return self.evaluation.model_copy(update={"batch_size": at_once})

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

    def until(self, step: int) -> "TrainConfig":
        """The run whose pretrain is this one's first steps up to `step`: at the peak rate, and no decay.

        Equal to the bit up to pretrain.stable_steps, as far as both go.
        """
        changed = {
            "steps": step,
            "warmup": float(self.pretrain.warmup_steps),
            "lr_schedule": ConstantRate(),
        }
        return self.model_copy(update={"pretrain": self.pretrain.model_copy(update=changed)})

    def source(self) -> "CausalLM | None":
        """The causal model of transformers that pretrain.from is. Raises CheckpointError as it is read."""
        if self.pretrain.from_ is None:
            return None
        from trainer.config.causal_lm import causal_lm_at

        return causal_lm_at(Path(self.pretrain.from_))

    def published(self) -> str | None:
        """What identifies the checkpoint of pretrain.from: its weights, wherever they lie, and of a causal
        model of transformers how they are put together.

        Raises MissingFiles where it is not there, InvalidConfig where the run cannot go on from it.
        """
        if self.pretrain.from_ is None:
            return None
        try:
            source, weights = self.source(), weights_hash(Path(self.pretrain.from_))
        except CheckpointError as error:
            raise MissingFiles([Problem("pretrain.from", str(error))]) from None
        if source is None:
            return weights
        from trainer.config.causal_lm import problems_with

        length, samples = self.data.length, self.samples
        drawn = samples.tokens(self.objective, length, self.finetune.block_size) if samples.num else None
        if problems := list(problems_with(source, self.model, self.objective, length, drawn)):
            raise InvalidConfig(problems)
        return content_hash({"weights": weights, **source.model_dump(mode="json")})

    def check_files(self) -> None:
        """Raises MissingFiles where a checkpoint or a judge is not there that is named by its place."""
        self.published()
        judge = self.samples.judge
        if self.samples.num and judge and judge.startswith((".", "/", "~")) and not Path(judge).is_dir():
            raise MissingFiles([Problem("samples.judge", f"{judge}: there is no such folder")])

    def _identified(self) -> dict[str, Any]:
        """The dotted values; no key for an EOS that the tokenizer names itself, for a published checkpoint
        without one, for uniform masking and what else a phase leaves as it was, for an evaluation of no
        wanted errors, other corpora, other block sizes or last step, for samples that are not drawn, nor for
        what is computed as it always was."""
        said = self.compute.identified()
        values = {
            key: value
            for key, value in self.to_dotted().items()
            if not key.startswith("compute.") or key.removeprefix("compute.") in said
        }
        del values["pretrain.from"]
        if self.data.eos is None:
            del values["data.eos"]
        for error in ("error", "rank_error"):
            if values[f"evaluation.{error}"] is None:
                del values[f"evaluation.{error}"]
        if not self.evaluation.test_last:
            del values["evaluation.test_last"]
        if not self.evaluation.block_sizes:
            del values["evaluation.block_sizes"]
        if not self.evaluation.zero_shot:
            del values["evaluation.zero_shot"]
        else:
            others = values["evaluation.zero_shot"]
            values["evaluation.zero_shot"] = [_without_eos(each) for each in others]
        if not self.samples.num:
            values = {key: value for key, value in values.items() if not key.startswith("samples.")}
        else:
            del values["samples.batch_size"]  # changes no sample
        for name, phase in (("pretrain", self.pretrain), ("finetune", self.finetune)):
            own = {key.removeprefix(f"{name}."): values[key] for key in values if key.startswith(f"{name}.")}
            for unsaid in phase.unsaid(own, self.optimizer, self.model):
                del values[f"{name}.{unsaid}"]
        published = self.published()
        return values if published is None else {**values, "pretrain.from": published}


def _source(place: object) -> "CausalLM | None":
    """The causal model there; None where there is none, or none that is read: `published` says why."""
    if not isinstance(place, str):
        return None
    from trainer.config.causal_lm import causal_lm_at

    try:
        return causal_lm_at(Path(absolute_if_there(place)))
    except CheckpointError:
        return None


def _without_eos(corpus: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in corpus.items() if key != "eos" or value is not None}


def content_hash(values: Mapping[str, Any]) -> str:
    """16 hex digits of SHA-256 over the canonical JSON of the values."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def _with_a_sampler(nested: dict[str, Any], objective: type[Objective] | None) -> dict[str, Any]:
    """Where only a sampler's fields are given, it is the first that suits the objective."""
    samples = group(nested, "samples")
    if objective is None or not group(samples, "sampler"):
        return nested
    first = {"name": kind_of(samplers_of(objective)[0])}
    return {**nested, "samples": with_defaults(samples, "sampler", first)}
