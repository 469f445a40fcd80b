"""The documents of one file: UTF-8 text, rows of JSON, parquet or a table; plain, or compressed."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import zlib
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from trainer.data.wikitext import articles
from trainer.disk import open_file
from trainer.errors import DataError

FIRST_LINES = (".jsonl", ".ndjson")  # that every version has read as rows
JSON_LINES = (*FIRST_LINES, ".jl", ".jsonlines", ".ldjson")
TABLES, COMPRESSED = {".csv": ",", ".tsv": "\t"}, (".gz", ".zst")
LARGEST_LIST = 256_000_000  # characters of a .json that is one list, which is read whole
LARGEST_ROW = 64_000_000  # of a line of JSON, or a cell of a table: it is read whole, too
SHOWN = 10  # names of fields in a sentence
LOOKED_AT = 2**16  # characters, of a text file's beginning


class NoField(DataError):
    """The rows hold no text where `field` says."""


def documents_of(path: Path, field: str, document: str) -> Iterator[str]:
    """In order, those without text left out. field, document: as in Files. Raises DataError."""
    suffix = inner_suffix(path)
    if suffix == ".parquet":
        return _parquet_texts(path, field)
    if suffix in (*JSON_LINES, ".json"):
        return _of_rows(path, field, _json_rows(path, suffix))
    if suffix in TABLES:
        return _of_rows(path, field, _table_rows(path, TABLES[suffix]))
    return (text for text in _text_documents(path, document) if text.strip())


def begins_with_text(path: Path, field: str) -> bool:
    """Whether there is a first document, which is all that is read. Raises DataError, as documents_of."""
    if inner_suffix(path) in (".parquet", *JSON_LINES, ".json", *TABLES):
        return next(documents_of(path, field, "line"), None) is not None
    with _lines(path) as lines:
        return bool(lines.read(LOOKED_AT).strip())


def inner_suffix(path: Path) -> str:
    """'.jsonl' of 'a.jsonl.gz'."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in COMPRESSED else suffix


def reading(path: Path, begins: bytes) -> str:
    """Of the fingerprint: a file's suffix, and how it is read where the first version read it otherwise."""
    suffix = inner_suffix(path)
    if suffix in JSON_LINES and suffix not in FIRST_LINES:
        return f"{suffix}{path.suffix} rows"
    if path.suffix.lower() in COMPRESSED:
        return f"{suffix}{path.suffix}"
    if suffix == ".json" or suffix in TABLES:
        return f"{path.suffix} rows"
    is_text = suffix not in (*FIRST_LINES, ".parquet")
    return f"{path.suffix} unmarked" if is_text and begins.startswith(BOM_UTF8) else path.suffix


# --- text ---
def _text_documents(path: Path, document: str) -> Iterator[str]:
    with _lines(path) as lines:
        if document == "file":
            yield lines.read()
        elif document == "line":
            yield from (line.rstrip("\n") for line in lines)
        elif document == "blank_lines":
            yield from _blocks(lines)
        else:
            yield from articles(lines)


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


@contextmanager
def _lines(path: Path, newline: str | None = None) -> Iterator[io.TextIOWrapper]:
    """The file as text, without the mark that some editors put before it. Raises DataError."""
    try:
        with _opened(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline=newline) as lines:
            yield lines
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text: {error.reason} ({error.object[error.start : error.end]!r})."
        ) from None
    except (EOFError, zlib.error) as error:
        raise DataError(f"{path} is cut off or damaged: {error}.") from None
    except OSError as error:
        if error.errno is not None:  # of the system, not of what stands in the file
            raise
        raise DataError(f"{path} is cut off or damaged: {error}.") from None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with open_file(path) as file:
        if path.suffix.lower() == ".gz":
            yield cast(BinaryIO, gzip.GzipFile(fileobj=file))
        elif path.suffix.lower() == ".zst":
            import pyarrow as pa

            yield cast(BinaryIO, io.BufferedReader(pa.input_stream(file, compression="zstd")))
        else:
            yield file


# --- rows ---
def _rows_lines(lines: io.TextIOWrapper) -> Iterator[str]:
    """Cut where they are too long."""
    return iter(lambda: lines.readline(LARGEST_ROW), "")


def _whole(path: Path, number: int, line: str) -> str:
    """Raises DataError where it was cut."""
    if len(line) == LARGEST_ROW:
        raise DataError(f"{path}:{number} is a row of {LARGEST_ROW:,} characters or more, which is not read.")
    return line


def _json_rows(path: Path, suffix: str) -> Iterator[tuple[int, Any]]:
    """(line, row): an object a line; or, in a .json, one list of them, each said to stand on line 1."""
    with _lines(path) as lines:
        for number, line in enumerate(_rows_lines(lines), 1):
            if suffix == ".json" and line.lstrip().startswith("["):
                rest = line + lines.read(LARGEST_LIST)
                if lines.read(1):
                    raise DataError(
                        f"{path} is one list of more than {LARGEST_LIST:,} characters, which is not read: "
                        "write an object a line, as .jsonl."
                    )
                yield from ((number, row) for row in _from_json(path, number, rest))
                return
            if line.strip():
                yield number, _from_json(path, number, _whole(path, number, line))


def _from_json(path: Path, number: int, text: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError:
        raise DataError(f"{path}:{number} is nested too deeply.") from None
    except ValueError as error:
        raise DataError(f"{path}:{number} is not JSON: {str(error)[:200]}.") from None


def _table_rows(path: Path, delimiter: str) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(LARGEST_ROW)  # a document is longer than the cells that the library thinks of
    with _lines(path, newline="") as lines:
        whole = (_whole(path, number, line) for number, line in enumerate(_rows_lines(lines), 1))
        rows = csv.DictReader(whole, delimiter=delimiter, strict=True)
        try:
            yield from ((rows.line_num, row) for row in rows)
        except csv.Error as error:
            raise DataError(f"{path}:{rows.line_num} is not a table: {error}.") from None


def _of_rows(path: Path, field: str, rows: Iterable[tuple[int, Any]]) -> Iterator[str]:
    """The rows' texts; null ones are left out and counted, as in parquet. Raises DataError."""
    nulls = 0
    for number, row in rows:
        text = _text_in(row, field, f"{path}:{number}")
        if text is None:
            nulls += 1
        elif text.strip():
            yield text
    _say_nulls(path, nulls)


def _text_in(row: Any, field: str, at: str) -> str | None:
    value = row
    for name in (field,) if isinstance(row, dict) and field in row else field.split("."):
        if not isinstance(value, dict) or name not in value:
            has = _named(map(str, row)) if isinstance(row, dict) else f"a {type(row).__name__}"
            raise NoField(f"{at} has no text in '{field}' (it has {has}); set data.field.")
        value = value[name]
    if value is None:
        return None
    if not isinstance(value, str):
        raise NoField(f"{at} has no text in '{field}' but {_shown(value)}; set data.field.")
    return value.encode(errors="replace").decode()  # JSON may hold half a surrogate pair


def _parquet_texts(path: Path, field: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as parquet
    import pyarrow.types as types

    nulls = 0
    try:
        with parquet.ParquetFile(path) as file:
            kind, inside = _kind_in(path, file.schema_arrow, field), field not in file.schema_arrow.names
            if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
                raise NoField(f"{path} has no text in '{field}' but {kind}; set data.field.")
            for batch in file.iter_batches(batch_size=1000, columns=[field]):
                column = batch.column(0)
                for _ in field.split(".")[1:] if inside else ():
                    (column,) = column.flatten()  # nothing else was read of the struct
                nulls += column.null_count
                yield from (text for text in column.cast(pa.string()).to_pylist() if text and text.strip())
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, not of what stands in it
            raise
        raise DataError(f"{path} cannot be read as parquet: {(str(error).splitlines() or [''])[0]}") from None
    _say_nulls(path, nulls)


def _kind_in(path: Path, schema: Any, field: str) -> Any:
    """The type of the column, or of a field inside one. Raises DataError where there is none."""
    import pyarrow.types as types

    inside, names = schema, (field,) if field in schema.names else field.split(".")
    for name in names:
        fields = (
            {each.name: each.type for each in inside} if inside is schema or types.is_struct(inside) else {}
        )
        if name not in fields:
            raise NoField(f"{path} has no column '{field}' (it has {_named(schema.names)}); set data.field.")
        inside = fields[name]
    return inside.value_type if types.is_dictionary(inside) else inside


def _named(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - SHOWN:,} more" if len(every) > SHOWN else ""
    return ", ".join(each[:40] for each in every[:SHOWN]) + more


def _shown(value: Any) -> str:
    return f"{str(value)[:40]!r}, which is a {type(value).__name__}"


def _say_nulls(path: Path, nulls: int) -> None:
    if nulls:
        _say_once(f"{path}: {nulls:,} rows whose text is null are left out")


@cache
def _say_once(sentence: str) -> None:
    logging.getLogger(__name__).warning(sentence)
