from typing import Annotated, Literal
from pydantic import Field
from trainer.settings import Settings


class Unweighted(Settings):
    name: Literal["none"] = "none"


class Sigmoid(Settings):
    name: Literal["sigmoid"] = "sigmoid"
    k: float = 0.0
    normalize: bool = False


AnyReweighting = Annotated[Unweighted | Sigmoid, Field(discriminator="name")]
