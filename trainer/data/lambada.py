"""LAMBADA (Paperno et al. 2016, arXiv 1606.06031): passages of novels, in the cased form made for GPT-2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from trainer.data.base import Split
from trainer.data.hub import HubDataSet
from trainer.paths import Place


class Lambada(HubDataSet):
    """A document is a passage. A test split alone, for models that were trained on other text."""

    splits: ClassVar[tuple[Split, ...]] = ("test",)
    tables: ClassVar[str | None] = "default"

    name: Literal["lambada"] = "lambada"
    path: Place = Field("EleutherAI/lambada_openai", description="Name on the hub, or a folder with a copy.")
    config: Literal["default", "en"] = "default"

    def split_documents(self, split: Split) -> Iterator[str]:
        return map(clean, self.rows("test", self.config))

    def cleaning(self) -> str:
        return "straight quotes 1"


def clean(passage: str) -> str:
    """Straight double quotes, and the line break in front that GPT-2 was scored with."""
    return "\n" + passage.replace("“", '"').replace("”", '"').strip()
