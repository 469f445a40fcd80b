"""Every objective there is. A new one is one file and one line here."""

from typing import Annotated, get_args

from pydantic import Field

from trainer.objectives.autoregressive import Autoregressive
from trainer.objectives.base import Objective
from trainer.objectives.block_diffusion import BlockDiffusion
from trainer.objectives.masked_diffusion import MaskedDiffusion
from trainer.objectives.score_entropy import ScoreEntropy

AnyObjective = Annotated[
    BlockDiffusion | MaskedDiffusion | Autoregressive | ScoreEntropy, Field(discriminator="name")
]
OBJECTIVES: tuple[type[Objective], ...] = get_args(get_args(AnyObjective)[0])
