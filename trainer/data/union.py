"""Every corpus there is. A new one is one file and one line here."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from trainer.data.files import Files
from trainer.data.lm1b import Lm1b
from trainer.data.openwebtext import OpenWebText
from trainer.data.pydocs import PyDocs
from trainer.data.wikitext import WikiText


def _pydocs_unless_named(raw: Any) -> Any:
    """`data.length=32` alone is about the default corpus."""
    return {"name": "pydocs", **raw} if isinstance(raw, Mapping) else raw


AnyDataSet = Annotated[
    PyDocs | Files | WikiText | Lm1b | OpenWebText,
    Field(discriminator="name"),
    BeforeValidator(_pydocs_unless_named),
]
