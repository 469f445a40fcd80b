"""The Penn Treebank's Wall Street Journal, as Mikolov et al. 2010 prepared it: lower case, 10,000 words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from trainer.data.base import Split
from trainer.data.detokenize import Rules, Sentences
from trainer.paths import Place


class Ptb(Sentences):
    """A document is a sentence; the source's own splits.

    Rare words are '<unk>' and numbers 'N', which detokenised are '?' and '1', as the field has it.
    """

    column: ClassVar[str] = "sentence"
    tables: ClassVar[str | None] = "penn_treebank"
    spacing: ClassVar[Rules] = Rules(
        (r" '(s|re|ve|ll|d|m)\b", r"'\1"),
        (r"(?<=s) '(?= )", "'"),
        (r" n't\b", "n't"),
        (r"\\/", "/"),
        (r"\bN\b", "1"),
        (r"([$#]) (?=1)", r"\1"),
        (r"<unk>", "?"),
    )

    name: Literal["ptb"] = "ptb"
    path: Place = Field(
        "ptb-text-only/ptb_text_only", description="Name on the hub, or a folder with a copy."
    )

    def sentences(self, split: Split) -> Iterator[str]:
        return self.rows({"train": "train", "valid": "validation", "test": "test"}[split])
