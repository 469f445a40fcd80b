from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from trainer.data.base import DataSet, Split


class Files(DataSet):
    name: Literal["files"] = "files"
    train: str = Field(description="Path or glob of .txt, .jsonl or .parquet files.")
    valid: str | None = Field(None, description="The same; without it 5% of the train documents.")
    test: str | None = Field(None, description="The same; without it 5% of the train documents.")
    field: str = Field("text", description="Where the text stands, in jsonl and parquet files.")
    document: Literal["file", "line", "blank_lines", "wikitext"] = Field(
        "file", description="What one document is in a text file."
    )

    def documents(self, split: Split) -> Iterator[str]:
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        raise NotImplementedError
