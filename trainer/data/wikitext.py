"""WikiText (Merity et al. 2016, arXiv 1609.07843): good and featured articles of Wikipedia."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from pydantic import Field

from trainer.data.base import Split
from trainer.data.detokenize import BRACKETS, CONTRACTIONS, CURRENCY, NEGATIONS, PUNCTUATION, Rules
from trainer.data.hub import HubDataSet
from trainer.paths import Place

# After a blank line, ' = Title = ' starts an article; ' = = Section = = ' goes on with it.
_TITLE = re.compile(r"^ ?= (?!= )[^\n]*[^=\s] = ?\n?$")


class WikiText(HubDataSet):
    """WikiText-2 or -103. A document is an article; the source's own splits."""

    name: Literal["wikitext"] = "wikitext"
    path: Place = Field("Salesforce/wikitext", description="Name on the hub, or a folder with a copy of it.")
    config: Literal["wikitext-2-raw-v1", "wikitext-103-raw-v1", "wikitext-2-v1", "wikitext-103-v1"] = Field(
        "wikitext-2-raw-v1", description="Without 'raw', rare words are '<unk>'."
    )
    detokenize: bool = Field(True, description="Undo the corpus's spaces around punctuation and its @-@.")

    def split_documents(self, split: Split) -> Iterator[str]:
        lines = self.rows({"train": "train", "valid": "validation", "test": "test"}[split], self.config)
        return (detokenize(text) if self.detokenize else text for text in articles(lines))

    def cleaning(self) -> str:
        return f"detokenize={self.detokenize} 1"


def articles(lines: Iterable[str]) -> Iterator[str]:
    """WikiText's lines, grouped into articles; what stands before the first title is one too."""
    article: list[str] = []
    for line in lines:
        if article and not article[-1].strip() and _TITLE.match(line):
            if "".join(article).strip():
                yield "".join(article)
            article = []
        article.append(line if line.endswith("\n") else line + "\n")
    if "".join(article).strip():
        yield "".join(article)


def detokenize(text: str) -> str:
    """The text as it would be typeset: punctuation joined to its word, headings in '= =' kept."""
    return _RULES(text)


_RULES = Rules(
    (r" @([-,.])@ ", r"\1"),  # role @-@ playing, 10 @,@ 000
    PUNCTUATION,
    BRACKETS,
    CURRENCY,
    (r'" ([^"\n]*?) "', r'"\1"'),
    CONTRACTIONS,
    (r"(?<=s) ' (?=\w)", "' "),
    NEGATIONS,
    (r"(?<=\d) – (?=\d)", "–"),
    (r"(?m)^ +| +$", ""),
    (r"\n{2,}", "\n\n"),
)
