"""The One Billion Word Benchmark (Chelba et al. 2013, arXiv 1312.3005): sentences of news, shuffled."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from trainer.data.base import Split, part_of_train
from trainer.data.detokenize import BRACKETS, CONTRACTIONS, CURRENCY, NEGATIONS, PUNCTUATION, Rules, Sentences
from trainer.paths import Place


class Lm1b(Sentences):
    """A document is a sentence. The source has train and test; 5% of train are held out as valid."""

    tables: ClassVar[str | None] = "plain_text"
    spacing: ClassVar[Rules] = Rules(
        (r"\b(https?) : / / ", r"\1://"),
        PUNCTUATION,
        BRACKETS,
        CURRENCY,
        (r'" ([^"]*?) "', r'"\1"'),
        (r'^" (?=[^"]*$)', '"'),  # a quotation that goes on in another sentence
        CONTRACTIONS,
        NEGATIONS,
        (r" / ", "/"),
    )

    name: Literal["lm1b"] = "lm1b"
    path: Place = Field(
        "billion-word-benchmark/lm1b", description="Name on the hub, or a folder with a copy of it."
    )

    def sentences(self, split: Split) -> Iterator[str]:
        source = self.rows("test" if split == "test" else "train")
        return source if split == "test" else part_of_train(source, split, {"valid"})
