"""Zero-shot: a trained model scored on a corpus that it was not trained on, by the same bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trainer.config.evaluation import EvaluationConfig
from trainer.config.train_config import TrainConfig
from trainer.data.base import Split
from trainer.data.corpus import Corpus, load
from trainer.data.union import AnyCorpus
from trainer.errors import DataError
from trainer.values import Settings


class ZeroShotConfig(Settings):
    data: AnyCorpus
    evaluation: EvaluationConfig


def filled_in(config: TrainConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """The dotted values of a ZeroShotConfig: what is not given is as the model was trained with."""
    evaluation = {f"evaluation.{key}": value for key, value in config.evaluation.model_dump().items()}
    return {"data.forced_eos": config.data.forced_eos, **evaluation, **values}


def as_trained(trained: Corpus, data: AnyCorpus) -> AnyCorpus:
    """The corpus with a model's own tokenizer and length; `trained` is what that was trained on."""
    return data.model_copy(update={"tokenizer": str(trained.folder), "length": trained.facts["length"]})


def other_corpus(trained: Corpus, data: AnyCorpus, split: Split) -> Corpus:
    """The split, packed for the model: `data` is as_trained. Raises DataError.

    Train is not prepared: it may be large, and belongs to another model.
    """
    if split not in data.splits:
        raise DataError(f"{data.name} has no {split} split, only {', '.join(data.splits)}")
    corpus = load(data, (split,))
    if corpus.tokenizer.fingerprint != trained.tokenizer.fingerprint:
        raise DataError(
            f"{data.name} brings its own tokenizer, and the model was trained with that of {trained.name}"
        )
    return corpus
