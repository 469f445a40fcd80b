"""A corpus that is ready to train on: prepared once, whatever the number of processes, kept, and checked."""

from __future__ import annotations

import json
import shutil
import threading
import zlib
from collections.abc import Callable, Generator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from trainer.data.base import DataSet, Split
from trainer.data.packing import PACKING_VERSION, SPLITS, PackedSplit, disjoint, no_split, open_split, pack
from trainer.data.pretrained import pretrained
from trainer.data.tokenizer import Tokenizer, train_bpe
from trainer.disk import cache_root, replace_durably, to_disk
from trainer.errors import DataError
from trainer.heartbeat import meanwhile

CHECKED = 64 * 2**20  # bytes; larger files are checked by size, these by content too
HEARTBEAT = 0.5  # seconds


class Corpus(NamedTuple):
    """A prepared corpus: its tokenizer, and its splits as packed sequences."""

    name: str
    fingerprint: str  # hex: of the text, the tokenizer's settings and the packing
    tokenizer: Tokenizer
    train: PackedSplit
    valid: PackedSplit
    folder: Path
    facts: dict[str, Any]  # what meta.json says
    source: DataSet

    def test(self) -> PackedSplit:
        """The test split, which is not opened before this is called. Raises DataError where it is damaged."""
        if not _is_whole(self.folder, SPLITS):
            raise DataError(f"{self.folder} is damaged: delete it, and the corpus is prepared again.")
        return open_split(self.folder, "test")


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
            open_split(folder, each) if each in splits else no_split(data.length)
            for each in ("train", "valid")
        )
        tokenizer = Tokenizer.open(folder)
    except (OSError, ValueError) as error:
        raise DataError(f"{folder} cannot be read ({error}): delete it and try again.") from None
    if problem := tokenizer.problem():  # tokenised by a version that did not look
        raise DataError(f"The tokenizer {data.tokenizer} cannot be used: {problem}.")
    return Corpus(data.name, key, tokenizer, train, valid, folder, facts, data)


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
    return _files_key(data) if data.eos is None else f"{_files_key(data)} eos {data.eos}"


def _files_key(data: DataSet) -> str:
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
            split: pack(documents(split), split, data, tokenizer, partial)
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
        for path in partial.iterdir():
            to_disk(path)
        replace_durably(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _tokenizer(data: DataSet, documents: Callable[[Split], Iterator[str]]) -> Tokenizer:
    if (own := data.own_tokenizer()) is not None:
        return own
    if data.tokenizer == "bpe":
        if "train" not in data.splits:
            raise DataError(f"{data.name} has no train split to make a BPE of: set data.tokenizer.")
        return train_bpe(documents("train"), data.vocab_size)
    return pretrained(data.tokenizer, data.eos)


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
