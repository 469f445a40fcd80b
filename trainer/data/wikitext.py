from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from trainer.data.base import DataSet, Split


class WikiText(DataSet):
    name: Literal["wikitext"] = "wikitext"

    def documents(self, split: Split) -> Iterator[str]:
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        raise NotImplementedError
