"""Text as it would be typeset, from a benchmark's own spacing: what becomes what, rule after rule."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field

from trainer.data.base import Split
from trainer.data.hub import HubDataSet

PUNCTUATION = (r" +([,.:;?!%)\]}])(?=\s|[,.:;?!%)\]}'\"]|$)", r"\1")
BRACKETS = (r"([(\[{]) +", r"\1")
CURRENCY = (r"([$£€#]) (?=\d)", r"\1")
CONTRACTIONS = (r"(?<=\w) '(s|re|ve|ll|d|m|t)\b", r"'\1")  # it 's, won 't
NEGATIONS = (r"(?<=\w) n't\b", "n't")


class Rules:
    def __init__(self, *rules: tuple[str, str]):
        """Of a regular expression, and what stands in place of its match."""
        self._rules = [(re.compile(pattern), replacement) for pattern, replacement in rules]

    def __call__(self, text: str) -> str:
        for pattern, replacement in self._rules:
            text = pattern.sub(replacement, text)
        return text


class Sentences(HubDataSet):
    """Abstract: a benchmark whose documents are sentences in a spacing of its own."""

    spacing: ClassVar[Rules]

    detokenize: bool = Field(True, description="Undo the benchmark's spacing, as the field does.")

    @abstractmethod
    def sentences(self, split: Split) -> Iterator[str]:
        """All of the split, as the benchmark has them."""

    @classmethod
    def typeset(cls, sentence: str) -> str:
        """Without that spacing."""
        return cls.spacing(sentence).strip()

    def split_documents(self, split: Split) -> Iterator[str]:
        return (self.typeset(each) if self.detokenize else each for each in self.sentences(split))

    def cleaning(self) -> str:
        return f"detokenize={self.detokenize} 1"
