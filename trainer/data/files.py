"""Your own text: plain files, jsonl, parquet."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field

from trainer.data.base import DataSet, Split, part_of_train
from trainer.data.wikitext import articles
from trainer.errors import DataError
from trainer.paths import Pattern

JSON_LINES = {".jsonl", ".ndjson"}


class Files(DataSet):
    """Files by path or glob: *.jsonl, *.ndjson, *.parquet (a document a row); any other is UTF-8 text.

    Without `valid` or `test`, 5% of the train documents are held out for each, by hash of their text.
    """

    name: Literal["files"] = "files"
    train: Pattern = Field(description="Path or glob (** for folders below).")
    valid: Pattern | None = Field(
        None, min_length=1, description="The same; none: 5% of the train documents."
    )
    test: Pattern | None = Field(None, description="The same; none: 5% of the train documents.")
    field: str = Field("text", description="Where the text stands in a row of jsonl or parquet.")
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

    def fingerprint(self) -> dict[str, str]:
        own = [each for each in ("train", "valid", "test") if getattr(self, each) is not None]
        contents = {each: _hash_all(self._paths(each)) for each in own}
        return {"source": "files", **contents, "field": self.field, "document": self.document}

    def _paths(self, split: str) -> list[Path]:
        pattern = getattr(self, split)
        found = [pattern] if os.path.isfile(pattern) else sorted(glob.glob(pattern, recursive=True))
        paths = [Path(each) for each in found if os.path.isfile(each)]
        if not paths:
            wrong = "matches no file"
            if os.path.isdir(pattern):
                wrong = "is a folder: name its files, as in '*.txt'"
            raise DataError(f"data.{split}: {pattern} {wrong}.")
        return paths

    def _read(self, split: str) -> Iterator[str]:
        for path in self._paths(split):
            suffix = path.suffix.lower()
            if suffix in JSON_LINES:
                rows = _json_rows(path, self.field)
            elif suffix == ".parquet":
                rows = _parquet_rows(path, self.field)
            else:
                rows = _text_documents(path, self.document)
            yield from (text for text in rows if text.strip())


def _text_documents(path: Path, document: str) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as lines:
            if document == "file":
                yield lines.read()
            elif document == "line":
                yield from (line.rstrip("\n") for line in lines)
            elif document == "blank_lines":
                yield from _blocks(lines)
            else:
                yield from articles(lines)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text: {error.reason} ({error.object[error.start : error.end]!r})."
        ) from None


def _blocks(lines: Iterable[str]) -> Iterator[str]:
    block: list[str] = []
    for line in lines:
        if line.strip():
            block.append(line)
        elif block:
            yield "".join(block).rstrip("\n")
            block = []
    if block:
        yield "".join(block).rstrip("\n")


def _json_rows(path: Path, field: str) -> Iterator[str]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{path}:{number} is not JSON: {error}.") from None
            if not isinstance(row, dict) or not isinstance(row.get(field), str):
                has = ", ".join(row) if isinstance(row, dict) else f"a {type(row).__name__}"
                raise DataError(f"{path}:{number} has no text in '{field}' (it has {has}); set data.field.")
            yield row[field].encode(errors="replace").decode()  # JSON may hold half a surrogate pair


def _parquet_rows(path: Path, field: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            if field not in file.schema_arrow.names:
                has = ", ".join(file.schema_arrow.names)
                raise DataError(f"{path} has no column '{field}' (it has {has}); set data.field.")
            for batch in file.iter_batches(batch_size=1000, columns=[field]):
                yield from (text for text in batch.column(0).cast(pa.string()).to_pylist() if text)
    except pa.ArrowException as error:
        raise DataError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from None


def _hash_all(paths: list[Path]) -> str:
    """SHA-256 of the contents, in order; wherever the files lie."""
    stats = [(str(path), path.stat()) for path in paths]
    hashes = [f"{Path(path).suffix}:{_hash_one(path, s.st_size, s.st_mtime_ns)}" for path, s in stats]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _hash_one(path: str, size: int, modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
