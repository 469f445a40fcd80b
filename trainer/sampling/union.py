"""Every sampler there is, and which of them suit a network. A new one is one file and one line here."""

from typing import Annotated

from pydantic import Field

from trainer.sampling.analytic import Analytic
from trainer.sampling.ancestral import Ancestral
from trainer.sampling.base import Sampled, Sampler
from trainer.sampling.first_hitting import FirstHitting
from trainer.values import kind_of, kinds

AnySampler = Annotated[FirstHitting | Ancestral | Analytic, Field(discriminator="name")]
SAMPLERS: tuple[type[Sampler], ...] = kinds(AnySampler)


def samplers_of(source: type[Sampled]) -> tuple[type[Sampler], ...]:
    """Those that draw from its networks, the default first."""
    return tuple(each for each in SAMPLERS if each.suits(source))


def default_sampler(source: Sampled) -> Sampler:
    return samplers_of(type(source))[0].model_validate({})


def problem_of_sampler(source: Sampled, sampler: Sampler) -> str | None:
    """A sentence where the two do not go together, else None."""
    if type(sampler).suits(type(source)):
        return None
    names = " or ".join(map(kind_of, samplers_of(type(source))))
    return f"{source.name} is sampled from by {names}, not by {sampler.name}"
