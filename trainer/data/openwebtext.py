"""OpenWebText (Gokaslan and Cohen 2019): pages that Reddit linked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from trainer.data.base import Split
from trainer.data.hub import HubDataSet
from trainer.errors import DataError
from trainer.paths import Place


class OpenWebText(HubDataSet):
    """A document is a page. The source has one split, and the field's valid is its last 100,000."""

    name: Literal["openwebtext"] = "openwebtext"
    path: Place = Field(
        "Skylion007/openwebtext", description="Name on the hub, or a folder with a copy of it."
    )
    held_out: int = Field(
        100_000, ge=1, description="Pages of valid, at the source's end; test has as many before them."
    )

    def split_documents(self, split: Split) -> Iterator[str]:
        pages = self.count("train")
        ends = {"train": pages - 2 * self.held_out, "test": pages - self.held_out, "valid": pages}
        if ends["train"] < 1:
            raise DataError(
                f"{self.path} has {pages} pages, too few to hold out twice {self.held_out}: "
                "set data.held_out lower."
            )
        first = 0 if split == "train" else ends[split] - self.held_out
        return self.rows("train", first=first, number=ends[split] - first)

    def cleaning(self) -> str:
        return f"none, held_out={self.held_out}"
