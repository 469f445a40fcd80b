"""A stretch of training: how long, on which noise, in which blocks, at which rate. No torch."""

from pydantic import ConfigDict, Field, field_validator

from trainer.noise.clips import AnyClip, AutoClip, Clip
from trainer.noise.masking import AnyMasking, Uniform
from trainer.noise.reweighting import AnyReweighting, Unweighted
from trainer.noise.schedules import AnySchedule, LogLinear
from trainer.noise.times import AnyTime, UniformTime
from trainer.paths import Place
from trainer.values import Settings


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
    time: AnyTime = UniformTime()
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
