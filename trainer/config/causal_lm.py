"""Is pretrain.from a causal language model of transformers, and which? As its config.json says. No torch."""

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from trainer.config.problems import Problem
from trainer.config.published import weights_file
from trainer.errors import CheckpointError
from trainer.objectives.base import Objective
from trainer.settings.causal_lm import AnyCausalLM, CausalLM
from trainer.settings.sizes import ModelConfig
from trainer.values import Settings, kinds

ENDINGS = ("ForCausalLM", "LMHeadModel")  # of the classes of causal models
READ = tuple(each.model_fields["model_type"].default for each in kinds(AnyCausalLM))


class _Said(Settings):
    source: AnyCausalLM


def causal_lm_at(path: Path) -> CausalLM | None:
    """What config.json says beside the weights; None where they are no causal model of transformers.

    Raises CheckpointError: no weights, or a causal model that is not read.
    """
    file = weights_file(path).with_name("config.json")
    if not file.is_file():
        return None
    stat = file.stat()
    return _read(file, stat.st_size, stat.st_mtime_ns)


def causal_lm_in(said: object) -> CausalLM:
    """What a run's checkpoint keeps of it. Raises ValidationError."""
    return _Said.model_validate({"source": said}).source


def problems_with(
    source: CausalLM, model: ModelConfig, objective: Objective, length: int, drawn: int | None
) -> Iterator[Problem]:
    """What of a run contradicts the causal model that it goes on from. drawn: tokens of a sample, if any."""
    for key, size in source.shape().items():
        if (said := getattr(model, key)) != size:
            yield Problem(f"model.{key}", f"{said}, but the model of pretrain.from has {size}: leave it out")
    if objective.told:
        yield Problem(
            "objective.name",
            f"{objective.name} tells a network its noise, and the model of pretrain.from cannot be told",
        )
    most = source.most_positions or max(length, drawn or 0)
    for key, tokens in (("data.length", length), ("samples.length", drawn or 0)):
        if tokens > most:
            yield Problem(key, f"{tokens:,}, but the model of pretrain.from has {most:,} positions")


@lru_cache(maxsize=256)
def _read(file: Path, size: int, modified: int) -> CausalLM | None:
    try:
        said = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # in the public layout weights alone will do
    if not isinstance(said, dict):
        return None
    name, classes = said.get("model_type"), said.get("architectures") or []
    if name not in READ:
        if any(str(each).endswith(ENDINGS) for each in classes):
            raise CheckpointError(
                f"{file}: {name!r} is none of the causal models that are read ({', '.join(READ)})"
            )
        return None
    try:
        source = causal_lm_in(said)
    except ValidationError as error:
        first = error.errors()[0]
        field = "".join(f"{part}: " for part in first["loc"][2:])  # behind the architecture's name
        raise CheckpointError(f"{file}: {field}{first['msg'].removeprefix('Value error, ')}") from None
    if problem := source.problem():
        raise CheckpointError(f"{file}: {problem}")
    return source
