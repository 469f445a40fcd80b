"""Every corpus there is. A new one is one file and one line here."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from trainer.data.base import DataSet
from trainer.data.files import Files
from trainer.data.lambada import Lambada
from trainer.data.lm1b import Lm1b
from trainer.data.openwebtext import OpenWebText
from trainer.data.ptb import Ptb
from trainer.data.pydocs import PyDocs
from trainer.data.synthetic import Synthetic
from trainer.data.wikitext import WikiText
from trainer.values import kind_of, kinds


def _pydocs_unless_named(raw: Any) -> Any:
    """`data.length=32` alone is about the default corpus."""
    return {"name": kind_of(PyDocs), **raw} if isinstance(raw, Mapping) else raw


def _with_train(data: DataSet) -> DataSet:
    if "train" not in data.splits:
        raise ValueError(
            f"{data.name} has no train split, only {', '.join(data.splits)}: "
            "score models on it that were trained on another corpus"
        )
    return data


# What a model may be scored on.
AnyCorpus = Annotated[
    PyDocs | Synthetic | Files | WikiText | Lm1b | OpenWebText | Ptb | Lambada,
    Field(discriminator="name"),
    BeforeValidator(_pydocs_unless_named),
]
CORPORA: tuple[type[DataSet], ...] = kinds(AnyCorpus)
# What a model may be trained on.
AnyDataSet = Annotated[AnyCorpus, AfterValidator(_with_train)]
