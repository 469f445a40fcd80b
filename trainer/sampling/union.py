"""Every sampler there is. A new one is one file and one line here."""

from typing import Annotated

from pydantic import Field

from trainer.sampling.analytic import Analytic
from trainer.sampling.ancestral import Ancestral
from trainer.sampling.first_hitting import FirstHitting

AnySampler = Annotated[FirstHitting | Ancestral | Analytic, Field(discriminator="name")]
