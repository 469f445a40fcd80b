from typing import Annotated, Any, Literal, NamedTuple
from pydantic import Field
from trainer.settings import Settings


class NoiseLevel(NamedTuple):
    move_chance: Any
    loss_scale: Any


class NoiseSchedule(Settings):
    pass


class LogLinear(NoiseSchedule):
    name: Literal["loglinear"] = "loglinear"


class Cosine(NoiseSchedule):
    name: Literal["cosine"] = "cosine"


class Gaussian(NoiseSchedule):
    name: Literal["gaussian"] = "gaussian"
    mu: float = Field(0.5, ge=0, le=1)
    sigma: float = Field(0.1, gt=0)


class Clip(Settings):
    low: float = Field(0.0, ge=0, le=1)
    high: float = Field(1.0, ge=0, le=1)


AnySchedule = Annotated[LogLinear | Cosine | Gaussian, Field(discriminator="name")]
