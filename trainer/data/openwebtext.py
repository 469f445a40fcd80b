"""OpenWebText (Gokaslan and Cohen 2019): pages that Reddit linked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from trainer.data.base import Split, part_of_train
from trainer.data.hub import HubDataSet


class OpenWebText(HubDataSet):
    """A document is a page. The source has one split: 5% of it are valid, 5% test, by hash of the text."""

    name: Literal["openwebtext"] = "openwebtext"
    path: str = Field("Skylion007/openwebtext", description="Name on the hub, or a folder with a copy of it.")

    def split_documents(self, split: Split) -> Iterator[str]:
        return part_of_train(self.rows("train"), split, {"valid", "test"})

    def cleaning(self) -> str:
        return "none"
