"""What `python -m trainer sample` is told beside a trained run: how to draw, and when to stop."""

from pydantic import Field

from trainer.sampling.stopping import Stopping
from trainer.sampling.union import AnySampler
from trainer.settings import Settings


class SamplingConfig(Settings):
    """Without `stopping` every sample has the length that is asked for; any key of it turns both rules on."""

    sampler: AnySampler
    stopping: Stopping | None = Field(None)
