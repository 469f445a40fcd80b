"""A stretch of training: how long, on which noise, in which blocks, at which rate. No torch."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from trainer.noise.clips import AnyClip, AutoClip, Clip
from trainer.noise.masking import AnyMasking, Uniform
from trainer.noise.reweighting import AnyReweighting, Unweighted
from trainer.noise.schedules import AnySchedule, LogLinear
from trainer.noise.times import AnyTime, UniformTime
from trainer.paths import Place
from trainer.settings.blocks import AnyBlocks, FixedBlocks
from trainer.settings.learning_rate import AnyLrSchedule, ConstantRate
from trainer.settings.sizes import ModelConfig, OptimizerConfig
from trainer.values import Settings

# Fields that came later, by what was done before they did: no part of what identifies a run then.
LATER = {
    "masking.name": "uniform",
    "blocks.name": "fixed",
    "lr_schedule.name": "constant",
    "ar_weight": 0.0,
    "loss_norm": "tokens",
    "complementary": False,
    "time.name": "uniform",
    "time.per": "block",
    "schedule.gamma": 1.0,
    "schedule.outside": "cut",
    "schedule.coin": "time",
}


class Phase(Settings):
    """One stretch of training: pretrain or finetune."""

    steps: int = Field(0, ge=0, description="Optimizer steps.")
    block_size: int = Field(
        ge=1, description="Block size L', in tokens. Pretrain: data.length; finetune: 16 at most."
    )
    blocks: AnyBlocks = FixedBlocks()
    schedule: AnySchedule = LogLinear()
    clip: AnyClip = Clip()
    reweighting: AnyReweighting = Unweighted()
    masking: AnyMasking = Uniform()
    time: AnyTime = UniformTime()
    antithetic: bool = Field(True, description="Stratify t over all blocks of a batch.")
    batch_size: int = Field(16, ge=1, le=1_000_000, description="Sequences in an optimizer step.")
    lr: float = Field(gt=0, description="Peak learning rate. Default: the model size's own.")
    warmup: float = Field(
        0.05,
        ge=0,
        description="Linear warm-up: below 1 a fraction of the phase, from 1 on a number of steps.",
    )

    lr_schedule: AnyLrSchedule = ConstantRate()
    weight_decay: float | None = Field(None, ge=0, description="Default: optimizer.weight_decay.")
    clip_norm: float | None = Field(None, gt=0, description="Default: optimizer.clip_norm.")
    dropout: float | None = Field(None, ge=0, lt=1, description="Default: model.dropout.")
    ar_weight: float = Field(
        0.0, ge=0, description="Of the next token's cross-entropy by a causal pass, added to the loss."
    )
    loss_norm: Literal["tokens", "sequences", "masked"] = Field(
        "tokens",
        description="What a batch's loss is divided by: maskable tokens, sequences, or masked tokens.",
    )

    complementary: bool = Field(
        False,
        description="Train each sequence under a mask and under its complement; rates p and 1 - p must be "
        "drawn alike. A step costs 1.5 to 2 times as much.",
    )

    @property
    def warmup_steps(self) -> int:
        """Optimizer steps over which the learning rate rises."""
        return round(self.warmup * self.steps if self.warmup < 1 else self.warmup)

    @property
    def stable_steps(self) -> int:
        """Steps, from the first, that a longer phase of as many steps of warm-up would have, too."""
        moves = self.schedule.moves or self.blocks.moves
        return 0 if moves else self.lr_schedule.stable(self.steps)

    def at_size(self, seed: int, step: int) -> "Phase":
        """The same at the block size that a step trains. seed: the phase's; step counts from 1."""
        return self.model_copy(
            update={"block_size": self.blocks.size(self.block_size, seed, step, self.steps)}
        )

    def of_diffusion(self) -> "Phase":
        """The same with the loss of diffusion alone, per token: what noise does to it is measured so."""
        return self.model_copy(update={"ar_weight": 0.0, "loss_norm": "tokens", "complementary": False})

    def problem_of_complement(self) -> tuple[str, str] | None:
        """(field, sentence) where a mask's complement is no draw of what the phase trains, else None."""
        if not self.complementary:
            return None
        mirrored = isinstance(self.schedule, LogLinear) and abs(self.clip.low + self.clip.high - 1) < 1e-9
        if not mirrored or isinstance(self.clip, AutoClip):
            sentence = (
                "a complement is masked at 1 - p: use loglinear, and a clip of low and high that sum to 1"
            )
            return "complementary", sentence
        if self.masking != Uniform() or type(self.time) is not UniformTime or self.time.per == "token":
            return "complementary", "it is for uniform masks and uniform times of a block or a sequence"
        return None

    def unsaid(
        self, values: Mapping[str, Any], optimizer: OptimizerConfig, model: ModelConfig
    ) -> Iterator[str]:
        """Of its dotted values, those that leave a run as it was before there were such fields."""
        yield from (field for field, before in LATER.items() if field in values and values[field] == before)
        the_runs = {"weight_decay": optimizer.weight_decay, "clip_norm": optimizer.clip_norm}
        for field, the_run in {**the_runs, "dropout": model.dropout}.items():
            if values[field] in (None, the_run):
                yield field


class Pretrain(Phase):
    """What trials share where it is equal; 0 steps where nothing is trained before the finetune."""

    model_config = ConfigDict(serialize_by_alias=True)

    from_: Place | None = Field(
        None,
        alias="from",
        description="A checkpoint that the weights start from, a folder or a safetensors file: in the public "
        "BD3-LM layout, or a causal model of transformers (gpt2, llama, qwen2, qwen3), kept as it is built.",
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
