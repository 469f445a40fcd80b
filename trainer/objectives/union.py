"""Every objective there is. A new one is one file and one line here."""

from typing import Annotated

from pydantic import Field

from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.base import Objective
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.objectives.score_entropy import ScoreEntropy
from trainer.values import kinds

AnyObjective = Annotated[
    BlockDiffusion | MaskedDiffusion | Autoregressive | ScoreEntropy, Field(discriminator="name")
]
OBJECTIVES: tuple[type[Objective], ...] = kinds(AnyObjective)
