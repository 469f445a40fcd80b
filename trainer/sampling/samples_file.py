"""Samples on disk: one JSON object a line, written whole or not at all. Torch-free to read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from trainer.disk import open_file, written_whole
from trainer.errors import SamplesError

if TYPE_CHECKING:
    from trainer.data.tokenizer import Tokenizer
    from trainer.sampling.generate import Sample


class SavedSample(BaseModel):
    """A line of the file. A file of somebody else's text needs `text` alone."""

    model_config = ConfigDict(frozen=True)  # unknown keys are left aside

    text: str  # the prompt and what was generated, documents parted by an empty line
    prompt: str = ""
    documents: list[str] | None = None  # what was generated, cut at each EOS; none: it is all of `text`
    tokens: list[int] | None = Field(None, min_length=1)  # of the model's tokenizer, BOS included
    words: list[str] | None = None  # what each of the tokens adds to the text, special ones by name
    passes: list[int] | None = None  # which of the nfe decided each token, from 1 on; 0: it was given
    nfe: int | None = None
    cache_passes: int | None = None
    seconds: float | None = None
    stopped_by: str | None = None  # length, eos or entropy

    def generated(self) -> list[str]:
        return [self.text] if self.documents is None else self.documents

    @model_validator(mode="after")
    def _alike(self) -> Self:
        """A word and a pass for each token, where they are there."""
        if self.words is not None and self.passes is not None and len(self.words) != len(self.passes):
            raise ValueError("words and passes are not equally many")
        return self


def saved(sample: Sample, tokenizer: Tokenizer, prompt: str, given: int) -> SavedSample:
    """`given` of the tokens, BOS and the prompt's, were not generated."""
    documents: list[list[int]] = [[]]
    for token in sample.tokens[given:]:
        if token == tokenizer.eos_id:
            documents.append([])
        else:
            documents[-1].append(token)
    texts = [text for text in map(tokenizer.decode, documents) if text]
    return SavedSample(
        text=prompt + "\n\n".join(texts),
        prompt=prompt,
        documents=texts,
        tokens=sample.tokens,
        words=tokenizer.words(sample.tokens),
        passes=sample.passes,
        nfe=sample.nfe,
        cache_passes=sample.cache_passes,
        seconds=round(sample.seconds, 6),
        stopped_by=sample.end,
    )


def write_samples(path: Path, samples: Iterable[SavedSample]) -> None:
    """Atomically: `path` is the old file or all of the new one. Raises OSError."""
    with written_whole(path) as place, place.open("w", encoding="utf-8") as file:
        for each in samples:
            file.write(f"{each.model_dump_json()}\n")


def read_samples(path: Path, most: int | None = None) -> list[SavedSample]:
    """All, or those of the first `most` lines. Raises SamplesError, a sentence with the line's number."""
    samples = []
    try:
        with TextIOWrapper(open_file(path), encoding="utf-8") as lines:
            for number, line in enumerate(islice(lines, most), 1):
                if line.strip():
                    samples.append(_read(line, f"{path}:{number}"))
    except FileNotFoundError:
        raise SamplesError(f"{path}: there is no such file of samples") from None
    except OSError as error:
        raise SamplesError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SamplesError(f"{path}: not a file of samples (one JSON object a line, in UTF-8)") from None
    if not samples:
        raise SamplesError(f"{path}: there is no sample in it")
    return samples


def _read(line: str, place: str) -> SavedSample:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise SamplesError(f"{place}: not JSON, or cut off") from None
    if not isinstance(row, dict) or "text" not in row:
        raise SamplesError(f"{place}: not a sample (a JSON object with its `text`)")
    try:
        return SavedSample.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        raise SamplesError(f"{place}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
