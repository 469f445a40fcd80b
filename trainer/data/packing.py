"""Documents as packed sequences on disk, memory-mapped.

    BOS doc doc doc EOS doc doc | BOS doc EOS doc doc doc doc | ...        forced_eos: ... doc EOS | BOS ...

EOS stands at true document ends; the tokens that do not fill a last sequence are dropped.
Shapes: S sequences, L length (BOS included).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.data.base import PARSING, DataSet, Split, text_hash
from trainer.data.rows_file import RowsFile
from trainer.data.tokenizer import Tokenizer
from trainer.errors import DataError

if TYPE_CHECKING:
    import numpy as np

# Raise it when the same documents would give other sequences.
PACKING_VERSION = 1
SPLITS: tuple[Split, ...] = ("test", "valid", "train")  # a document that stands in two belongs to the first
BATCH = 256  # documents tokenised in one call, or
CHARACTERS = 1_000_000  # of theirs
MOSTLY = 0.5  # of a split's tokens; a vocabulary made for another script or alphabet has more unknown ones


class PackedSplit(NamedTuple):
    """Read-only memory maps. Documents are counted from 0 in each split; BOS belongs to what follows it."""

    tokens_SL: np.ndarray  # uint16, or int32 from 65,537 words on
    documents_SL: np.ndarray  # int32


def disjoint(data: DataSet, stop: threading.Event | None = None) -> Callable[[Split], Iterator[str]]:
    """Of each split, the documents whose text stands in no split before it (test, valid, train).

    All of them where the splits are independent: what is the same in two of them belongs to its law.
    """

    def all_of(split: Split) -> Iterator[str]:
        for text in data.documents(split):
            if stop and stop.is_set():
                raise Stopped
            yield text

    if data.independent:
        return all_of

    @cache
    def hashes(split: Split) -> set[bytes]:
        return set(map(text_hash, all_of(split)))

    def documents(split: Split) -> Iterator[str]:
        taken = [hashes(each) for each in SPLITS[: SPLITS.index(split)] if each in data.splits]
        return (text for text in all_of(split) if not any(text_hash(text) in each for each in taken))

    return documents


class Stopped(Exception):
    """Nobody waits for this corpus any more."""


def pack(
    texts: Iterator[str], split: Split, data: DataSet, tokenizer: Tokenizer, folder: Path
) -> dict[str, Any]:
    """Writes {split}.tokens.npy and {split}.documents.npy. Raises DataError where no sequence is full."""
    import numpy as np

    dtype = np.dtype(np.uint16 if tokenizer.vocab_size <= 2**16 else np.int32)
    frame = ((0, 0), (1, int(data.forced_eos)))  # columns before and after a row's text
    ends = ((0, 0), (tokenizer.bos_id, tokenizer.eos_id))
    body = data.length - sum(frame[1])
    documents, tokens, unknown, text_sum = 0, 0, 0, sha256()
    rest, rest_documents = np.empty(0, dtype), np.empty(0, np.int32)
    with (
        RowsFile(folder / f"{split}.tokens.npy", dtype, data.length) as tokens_SL,
        RowsFile(folder / f"{split}.documents.npy", np.dtype(np.int32), data.length) as documents_SL,
    ):
        for batch in _batches(texts):
            encoded = tokenizer.encode_arrays(batch, dtype)
            ids = [np.append(each, np.array([tokenizer.eos_id], dtype)) for each in encoded]
            numbers = np.arange(documents, documents + len(batch), dtype=np.int32)
            stream = np.concatenate([rest, *ids])
            owners = np.concatenate([rest_documents, np.repeat(numbers, [len(each) for each in ids])])
            full = len(stream) // body * body
            tokens_SL.append(np.pad(stream[:full].reshape(-1, body), frame, constant_values=ends))
            documents_SL.append(np.pad(owners[:full].reshape(-1, body), frame, mode="edge"))
            documents += len(batch)
            tokens += len(stream) - len(rest)
            unknown += sum(int((each == tokenizer.unknown_id).sum()) for each in ids)
            rest, rest_documents = stream[full:], owners[full:]
            for each in batch:
                text_sum.update(text_hash(each))
    _check_encoded(split, data, documents, tokens - documents, unknown)
    if tokens < body:
        raise DataError(
            f"{split} has {tokens} tokens in {documents} documents, fewer than one sequence of length "
            f"{data.length}: give more text, a smaller data.length or, for text files, more documents of it "
            "(data.document: line, or blank_lines)."
        )
    return {
        "documents": documents,
        "tokens": tokens,
        "sequences": tokens // body,
        "text": text_sum.hexdigest()[:16],
    }


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    """Of BATCH documents at most, or of so many characters that they do not fill the memory."""
    batch: list[str] = []
    size = 0
    for text in texts:
        batch.append(text)
        size += len(text)
        if len(batch) == BATCH or size > CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _check_encoded(split: Split, data: DataSet, documents: int, words: int, unknown: int) -> None:
    """Raises DataError where the tokens say nothing about the text: none at all, or unknown ones mostly."""
    if documents and (words == 0 or unknown > MOSTLY * words):
        what = f"{unknown} of {words} tokens are unknown to it" if words else "it gives no token"
        raise DataError(
            f"The tokenizer {data.tokenizer} cannot encode {split} ({what}): "
            "use another, or data.tokenizer=bpe."
        )


def open_split(folder: Path, split: Split) -> PackedSplit:
    import numpy as np

    names = (f"{split}.tokens.npy", f"{split}.documents.npy")
    with PARSING:
        return PackedSplit(*(np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in names))


def no_split(length: int) -> PackedSplit:
    import numpy as np

    return PackedSplit(np.empty((0, length), np.uint16), np.empty((0, length), np.int32))
