"""The One Billion Word Benchmark (Chelba et al. 2013, arXiv 1312.3005): sentences of news, shuffled."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from trainer.data.base import Split, part_of_train
from trainer.data.hub import HubDataSet
from trainer.paths import Place


class Lm1b(HubDataSet):
    """A document is a sentence. The source has train and test; 5% of train are held out as valid."""

    tables: ClassVar[str | None] = "plain_text"

    name: Literal["lm1b"] = "lm1b"
    path: Place = Field(
        "billion-word-benchmark/lm1b", description="Name on the hub, or a folder with a copy of it."
    )
    detokenize: bool = Field(
        True, description="Undo the benchmark's spaces around punctuation, as the field does."
    )

    def split_documents(self, split: Split) -> Iterator[str]:
        source = self.rows("test" if split == "test" else "train")
        texts = source if split == "test" else part_of_train(source, split, {"valid"})
        return (detokenize(text) if self.detokenize else text for text in texts)

    def cleaning(self) -> str:
        return f"detokenize={self.detokenize} 1"


def detokenize(sentence: str) -> str:
    """'But now , it \\'s looking' -> 'But now, it\\'s looking'."""
    for pattern, replacement in _DETOKENIZE:
        sentence = pattern.sub(replacement, sentence)
    return sentence.strip()


_DETOKENIZE = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\b(https?) : / / ", r"\1://"),
        (r" +([,.:;?!%)\]}])(?=\s|[,.:;?!%)\]}'\"]|$)", r"\1"),
        (r"([(\[{]) +", r"\1"),
        (r"([$£€#]) (?=\d)", r"\1"),
        (r'" ([^"]*?) "', r'"\1"'),
        (r'^" (?=[^"]*$)', '"'),  # a quotation that goes on in another sentence
        (r"(?<=\w) '(s|re|ve|ll|d|m|t)\b", r"'\1"),  # it 's, won 't
        (r"(?<=\w) n't\b", "n't"),
        (r" / ", "/"),
    )
]
