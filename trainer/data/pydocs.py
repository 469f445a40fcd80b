"""English on every machine, without a download: what Python says about itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from trainer.data.base import DataSet, Split


class PyDocs(DataSet):
    """Topics and docstrings of the running Python's standard library. A document is a topic or a module."""

    name: Literal["pydocs"] = "pydocs"

    def documents(self, split: Split) -> Iterator[str]:
        raise NotImplementedError

    def fingerprint(self) -> dict[str, str]:
        raise NotImplementedError
