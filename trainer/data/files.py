"""Your own text: plain files, jsonl, parquet, tables, as they are or compressed."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainer.data.base import DataSet, Look, Split, part_of_train
from trainer.data.documents import NoField, begins_with_text, documents_of, reading
from trainer.disk import NO_FILE, open_file
from trainer.errors import DataError
from trainer.paths import Pattern

LOOKED_INTO = 100  # files of a split, where all that is asked is whether they can be read
SMALL = 20_000_000  # bytes of train, up to which it is read to see whether each split would have a document


class Files(DataSet):
    """Files by path or glob. A document a row: *.jsonl (or .ndjson, .jl, .jsonlines, .ldjson), *.json (an
    object a line, or one list of them), *.parquet, *.csv, *.tsv (with a line of names); any other is UTF-8
    text. All but parquet may be .gz or .zst as well.

    Without `valid` or `test`, 5% of the train documents are held out for each, by hash of their text.
    """

    name: Literal["files"] = "files"
    train: Pattern = Field(description="Path or glob (** for folders below).")
    valid: Pattern | None = Field(
        None, min_length=1, description="The same; none: 5% of the train documents."
    )
    test: Pattern | None = Field(None, description="The same; none: 5% of the train documents.")
    field: str = Field(
        "text", description="Where the text stands in a row; meta.content: inside another field."
    )
    document: Literal["file", "line", "blank_lines", "heading"] = Field(
        "file",
        description="What one document of a text file is: the file, a line, what stands between blank lines, "
        "or an article under a ' = Title = ' line (WikiText).",
    )

    def documents(self, split: Split) -> Iterator[str]:
        lacking: set[Split] = {each for each in ("valid", "test") if getattr(self, each) is None}
        if split in lacking or split == "train":
            return part_of_train(self._read("train"), split, lacking)
        return self._read(split)

    def look_at_text(self) -> Look:
        found = {split: self._fault(split) for split in self.splits if getattr(self, split) is not None}
        return Look({field: said for fault in found.values() for field, said in fault.items()})

    def look_at_splits(self) -> Look:
        """One file may be a single document, and few of them may leave a split without any; or all of a
        split's may be another's."""
        taken = set[Path]()
        try:
            for split in reversed(self.splits):  # as a document in two of them falls
                mine = {path.resolve() for path in self._paths(split)} if getattr(self, split) else set()
                if mine and mine <= taken:
                    said = "all of its files are another split's as well, whose documents they are alone"
                    return Look({split: said})
                taken |= mine
            if sum(path.stat().st_size for path in self._paths("train")) > SMALL:
                return Look()
            empty = [split for split in self.splits if next(self.documents(split), None) is None]
            count = sum(1 for _ in self._read("train")) if empty else 0
        except (DataError, OSError):  # beyond what is looked into: whoever reads it all will say so
            return Look()
        if not empty:
            return Look()
        some = "1 document, which does not fall" if count == 1 else f"{count} documents, none of which falls"
        said = f"{some} to {' or '.join(empty)}, by hash of the text: cut text files into more of them "
        return Look({"train": f"{said}(data.document: line, or blank_lines), or name files for each split"})

    def fingerprint(self) -> dict[str, str]:
        own = [each for each in self.splits if getattr(self, each) is not None]
        contents: dict[str, str] = {each: _hash_all(self._paths(each)) for each in own}
        return {"source": "files", **contents, "field": self.field, "document": self.document}

    def _paths(self, split: str) -> list[Path]:
        pattern = getattr(self, split)
        found = [pattern] if os.path.isfile(pattern) else sorted(glob.glob(pattern, recursive=True))
        found = found or sorted(glob.glob(_as_named(pattern), recursive=True))
        paths = [Path(each) for each in found if os.path.isfile(each)]
        if not paths:
            wrong = "matches no file"
            if os.path.isdir(pattern):
                wrong = "is a folder: name its files, as in '*.txt'"
            elif os.path.exists(pattern):
                wrong = f"is {NO_FILE}"
            raise DataError(f"data.{split}: {pattern} {wrong}.")
        return paths

    def _fault(self, split: str) -> dict[str, str]:
        """What is wrong with its text, by the field to change."""
        try:
            texts = [begins_with_text(path, self.field) for path in self._paths(split)[:LOOKED_INTO]]
            if not any(texts):
                return {split: f"there is no text in {getattr(self, split)}"}
        except NoField as error:
            return {"field": str(error).removesuffix("; set data.field.")}
        except DataError as error:
            return {split: str(error).removeprefix(f"data.{split}: ").rstrip(".")}
        except OSError as error:
            return {split: f"{error.filename or getattr(self, split)}: {error.strerror}"}
        return {}

    def _read(self, split: str) -> Iterator[str]:
        for path in self._paths(split):
            yield from documents_of(path, self.field, self.document)


def _as_named(pattern: str) -> str:
    """The pattern, its leading folders that are there taken as they are named: data[1]/*.txt."""
    parts = Path(pattern).parts
    there = next((i for i in range(len(parts), 0, -1) if os.path.isdir(os.path.join(*parts[:i]))), 0)
    return os.path.join(*map(glob.escape, parts[:there]), *parts[there:])


def _hash_all(paths: list[Path]) -> str:
    """SHA-256 of the contents, in order; wherever the files lie."""
    stats = [(str(path), path.stat()) for path in paths]
    hashes = [_hash_one(path, s.st_size, s.st_mtime_ns) for path, s in stats]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _hash_one(path: str, size: int, modified: int) -> str:
    """A text that is read in another way than before has another key: no prepared corpus is taken for it."""
    with open_file(Path(path)) as file:
        how = reading(Path(path), file.read(3))
        file.seek(0)
        return f"{how}:{hashlib.file_digest(file, 'sha256').hexdigest()}"
