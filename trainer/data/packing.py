"""Documents as packed sequences on disk: tokenised once, whatever the number of processes, and memory-mapped.

    BOS doc doc doc EOS doc doc | BOS doc EOS doc doc doc doc | ...        forced_eos: ... doc EOS | BOS ...

EOS stands at true document ends; the tokens that do not fill a last sequence are dropped.
Shapes: S sequences, L length (BOS included).
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import zlib
from collections.abc import Callable, Generator, Iterator
from functools import cache
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from trainer.data.base import DataError, DataSet, Split, text_hash
from trainer.data.rows_file import RowsFile
from trainer.data.tokenizer import Tokenizer, pretrained, train_bpe
from trainer.heartbeat import meanwhile

if TYPE_CHECKING:
    import numpy as np

# Raise it when the same documents would give other sequences.
PACKING_VERSION = 1
SPLITS: tuple[Split, ...] = ("test", "valid", "train")  # a document that stands in two belongs to the first
BATCH = 256  # documents tokenised in one call
CHECKED = 64 * 2**20  # bytes; larger files are checked by size, these by content too
HEARTBEAT = 0.5  # seconds
MOSTLY = 0.5  # of a split's tokens; a vocabulary made for another script or alphabet has more unknown ones


class PackedSplit(NamedTuple):
    """Read-only memory maps. Documents are counted from 0 in each split; BOS belongs to what follows it."""

    tokens_SL: np.ndarray  # uint16, or int32 from 65,537 words on
    documents_SL: np.ndarray  # int32


class Corpus(NamedTuple):
    """A prepared corpus: its tokenizer, and its splits as packed sequences."""

    name: str
    fingerprint: str  # hex: of the text, the tokenizer's settings and the packing
    tokenizer: Tokenizer
    train: PackedSplit
    valid: PackedSplit
    folder: Path
    facts: dict[str, Any]  # what meta.json says

    def test(self) -> PackedSplit:
        """The test split, which is not opened before this is called. Raises DataError where it is damaged."""
        if not _is_whole(self.folder, SPLITS):
            raise DataError(f"{self.folder} is damaged: delete it, and the corpus is prepared again.")
        return _open_split(self.folder, "test")


def load(data: DataSet, splits: tuple[Split, ...] | None = None) -> Corpus:
    """The corpus, prepared if it is not. splits: those needed, the others are empty; none: all there are.

    Raises DataError with what to do.
    """
    splits = splits or data.splits
    for _ in prepare(data, splits):
        pass
    folder, key = _place(data, splits)
    try:
        facts = _facts(folder)
        train, valid = (
            _open_split(folder, each) if each in splits else _no_split(data.length)
            for each in ("train", "valid")
        )
        return Corpus(data.name, key, Tokenizer.open(folder), train, valid, folder, facts)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be read ({error}): delete it and try again.") from None


def prepare(data: DataSet, splits: tuple[Split, ...] | None = None) -> Generator[None, None, None]:
    """Tokenises what is not yet in the cache, yielding at least once a second; then `load` is quick.

    The work runs in a thread of its own: a download, a BPE's training and the wait for another process
    that is at the same corpus may each take minutes. Closing the generator stops it at the next batch.
    """
    stop = threading.Event()
    try:
        yield from meanwhile(
            lambda: _prepare(data, splits or data.splits, stop), "prepare-corpus", every=HEARTBEAT
        )
    finally:
        stop.set()


def identity(corpus: Corpus, split: Split) -> dict[str, Any]:
    """What must be equal for two numbers of nats per token to be comparable: text, tokenizer and packing."""
    return {
        "corpus": corpus.name,
        "split": split,
        "text": corpus.facts["splits"][split]["text"],
        "tokenizer": corpus.tokenizer.fingerprint,
        "length": corpus.facts["length"],
        "packing": corpus.facts["packing"],
    }


def cache_root() -> Path:
    """Where tokenised corpora are kept: $TRAINER_CACHE, else a folder in the user's cache."""
    return Path(os.environ.get("TRAINER_CACHE") or Path.home() / ".cache" / "bd3lm-sweep").expanduser()


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


def _place(data: DataSet, splits: tuple[Split, ...] | None = None) -> tuple[Path, str]:
    settings: dict[str, Any] = {
        "text": data.fingerprint(),
        "tokenizer": _tokenizer_key(data),
        "length": data.length,
        "forced_eos": data.forced_eos,
        "packing": PACKING_VERSION,
    }
    if splits and splits != data.splits:
        settings["splits"] = splits
    key = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
    return cache_root() / "corpora" / f"{data.name}-{key}", key


def _tokenizer_key(data: DataSet) -> str:
    if data.tokenizer == "bpe":
        return f"bpe {data.vocab_size}"
    folder = Path(data.tokenizer)
    if not folder.is_dir():
        return data.tokenizer
    files = (path for path in sorted(folder.iterdir()) if path.suffix in {".json", ".txt", ".model"})
    return sha256(b"".join(path.name.encode() + path.read_bytes() for path in files)).hexdigest()


def _prepare(data: DataSet, splits: tuple[Split, ...], stop: threading.Event) -> None:
    from filelock import FileLock, Timeout

    folder, _ = _place(data, splits)
    if _is_whole(folder):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{folder}.lock")
    while not stop.is_set():
        try:
            with lock.acquire(timeout=HEARTBEAT, poll_interval=0.05):
                if not _is_whole(folder):  # else another process was faster
                    _build(data, splits, folder, stop)
                return
        except Timeout:
            continue


def _build(data: DataSet, splits: tuple[Split, ...], folder: Path, stop: threading.Event) -> None:
    """Writes a folder beside, complete and on disk, and gives it its name in one step."""
    partial = folder.with_name(f"{folder.name}.partial")
    for leftover in (partial, folder):  # of a killed process; damaged
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir()
    try:
        documents = disjoint(data, stop)
        tokenizer = _tokenizer(data, documents)
        tokenizer.save(partial)
        packed = {
            split: _pack(documents(split), split, data, tokenizer, partial)
            for split in SPLITS
            if split in splits
        }
        facts = {
            "length": data.length,
            "packing": f"{PACKING_VERSION}{' forced_eos' if data.forced_eos else ''}",
            "settings": data.model_dump(mode="json"),
            "source": data.fingerprint(),
            "splits": packed,
            "files": {path.name: [path.stat().st_size, _sum(path)] for path in sorted(partial.iterdir())},
        }
        text = json.dumps(facts, indent=1)
        (partial / "meta.json").write_text(f"{zlib.crc32(text.encode())}\n{text}", encoding="utf-8")
        for path in (*partial.iterdir(), partial):
            _to_disk(path)
        partial.rename(folder)
        _to_disk(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _tokenizer(data: DataSet, documents: Callable[[Split], Iterator[str]]) -> Tokenizer:
    if (own := data.own_tokenizer()) is not None:
        return own
    if data.tokenizer == "bpe":
        if "train" not in data.splits:
            raise DataError(f"{data.name} has no train split to make a BPE of: set data.tokenizer.")
        return train_bpe(documents("train"), data.vocab_size)
    return pretrained(data.tokenizer)


def _pack(
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
        while batch := list(islice(texts, BATCH)):
            ids = [np.array([*each, tokenizer.eos_id], dtype) for each in tokenizer.encode_batch(batch)]
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
            f"{data.length}: give more text, a smaller data.length or, for files, another data.document."
        )
    return {
        "documents": documents,
        "tokens": tokens,
        "sequences": tokens // body,
        "text": text_sum.hexdigest()[:16],
    }


def _check_encoded(split: Split, data: DataSet, documents: int, words: int, unknown: int) -> None:
    """Raises DataError where the tokens say nothing about the text: none at all, or unknown ones mostly."""
    if documents and (words == 0 or unknown > MOSTLY * words):
        what = f"{unknown} of {words} tokens are unknown to it" if words else "it gives no token"
        raise DataError(
            f"The tokenizer {data.tokenizer} cannot encode {split} ({what}): "
            "use another, or data.tokenizer=bpe."
        )


def _facts(folder: Path) -> dict[str, Any]:
    """meta.json, with its own sum checked. Raises OSError or ValueError."""
    sum_, _, text = (folder / "meta.json").read_text(encoding="utf-8").partition("\n")
    if sum_ != str(zlib.crc32(text.encode())):
        raise ValueError("meta.json is damaged")
    return json.loads(text)


def _is_whole(folder: Path, read: tuple[Split, ...] = ("valid", "train")) -> bool:
    """Whether all that meta.json lists is there: by size, and by content where it may be read."""
    try:
        facts = _facts(folder)
        for name, (size, sum_) in facts["files"].items():
            path, part = folder / name, name.split(".")[0]
            unread = size > CHECKED or (part in SPLITS and part not in read)
            if path.stat().st_size != size or not (unread or _sum(path) == sum_):
                return False
    except (OSError, ValueError):
        return False
    return True


def _sum(path: Path) -> int:
    """CRC-32 of a file that is read piece by piece."""
    value = 0
    with path.open("rb") as file:
        while piece := file.read(2**22):
            value = zlib.crc32(piece, value)
    return value


def _open_split(folder: Path, split: Split) -> PackedSplit:
    import numpy as np

    names = (f"{split}.tokens.npy", f"{split}.documents.npy")
    return PackedSplit(*(np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in names))


def _no_split(length: int) -> PackedSplit:
    import numpy as np

    return PackedSplit(np.empty((0, length), np.uint16), np.empty((0, length), np.int32))


def _to_disk(path: Path) -> None:
    """A file's or a folder's contents survive the machine's loss from here on."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
