"""The Penn Treebank's Wall Street Journal, as Mikolov et al. 2010 prepared it: lower case, 10,000 words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from trainer.data.base import Split
from trainer.data.hub import HubDataSet
from trainer.paths import Place


class Ptb(HubDataSet):
    """A document is a sentence; the source's own splits. Rare words are '<unk>', numbers 'N'."""

    column: ClassVar[str] = "sentence"
    tables: ClassVar[str | None] = "penn_treebank"

    name: Literal["ptb"] = "ptb"
    path: Place = Field(
        "ptb-text-only/ptb_text_only", description="Name on the hub, or a folder with a copy."
    )
    detokenize: bool = Field(
        True, description="Undo the spaces, and put '1' for N and '?' for <unk>, as the field does."
    )

    def split_documents(self, split: Split) -> Iterator[str]:
        texts = self.rows({"train": "train", "valid": "validation", "test": "test"}[split])
        return (detokenize(text) if self.detokenize else text for text in texts)

    def cleaning(self) -> str:
        return f"detokenize={self.detokenize} 1"


def detokenize(sentence: str) -> str:
    """'it does n't cost $ N <unk>' -> 'it doesn't cost $1 ?'."""
    for pattern, replacement in _DETOKENIZE:
        sentence = pattern.sub(replacement, sentence)
    return sentence.strip()


_DETOKENIZE = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r" '(s|re|ve|ll|d|m)\b", r"'\1"),
        (r"(?<=s) '(?= )", "'"),
        (r" n't\b", "n't"),
        (r"\\/", "/"),
        (r"\bN\b", "1"),
        (r"([$#]) (?=1)", r"\1"),
        (r"<unk>", "?"),
    )
]
