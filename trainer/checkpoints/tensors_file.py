"""A safetensors file, opened once: what is read of it is of one file, though another may take its name.

The format: 8 bytes, little-endian, say how long the header is; the header is JSON, name -> dtype, shape and
place, with text -> text under __metadata__; then the tensors' bytes, without a gap.
"""

import json
import math
import os
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

import torch

from trainer.errors import CheckpointError, DamagedCheckpoint, MissingCheckpoint

LONGEST_HEADER = 100_000_000  # bytes, as in the library
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class Entry(NamedTuple):
    dtype: torch.dtype
    shape: list[int]
    begin: int  # of its bytes, from the file's start
    end: int


class Reason(ValueError):
    """Why a file is no such one."""


class TensorsFile:
    """To be used in `with`. Raises CheckpointError where it is missing, cut off or no such file."""

    def __init__(self, path: Path):
        self.path = path
        try:
            self._file = path.open("rb")
        except FileNotFoundError:
            raise MissingCheckpoint(f"{path}: there is no such checkpoint") from None
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
        try:
            self.metadata, self.entries = _header(self._file)
        except (OSError, Reason) as error:
            self._file.close()
            raise self.damaged(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def tensor(self, name: str, crc: int | None = None) -> torch.Tensor:
        """On the CPU. crc: what its bytes must add up to, by `crc_of`."""
        entry = self.entries[name]
        content = bytearray(entry.end - entry.begin)
        try:
            self._file.seek(entry.begin)
            read = self._file.readinto(content)
        except OSError as error:
            raise self.damaged(error) from None
        if read != len(content):
            raise self.damaged(f"{name} ends too soon")
        if crc is not None and zlib.crc32(content) != crc:
            raise self.damaged(f"{name} is not what was written")
        if not content:
            return torch.empty(entry.shape, dtype=entry.dtype)
        return torch.frombuffer(content, dtype=entry.dtype).reshape(entry.shape)

    def damaged(self, reason: object) -> DamagedCheckpoint:
        return DamagedCheckpoint(f"{self.path}: damaged or cut off ({reason})")


def crc_of(tensor: torch.Tensor) -> int:
    """CRC-32 of a contiguous tensor's bytes, as they stand in a file: 0.7 s for a gigabyte."""
    return zlib.crc32(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)


def _header(file: BinaryIO) -> tuple[dict[str, str], dict[str, Entry]]:
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, LONGEST_HEADER):
        raise Reason("its header is not there whole")
    try:
        header = json.loads(file.read(length))
    except (ValueError, RecursionError):
        raise Reason("its header is not JSON") from None
    if not isinstance(header, dict):
        raise Reason("its header is no JSON object")
    metadata = header.pop("__metadata__", {})
    if not (isinstance(metadata, dict) and all(isinstance(text, str) for text in metadata.values())):
        raise Reason("its metadata are not text")
    entries = {name: _entry(name, said, 8 + length) for name, said in header.items()}
    at = 8 + length
    for entry in sorted(entries.values(), key=lambda each: (each.begin, each.end)):
        if entry.begin != at:
            raise Reason("its tensors do not follow one another")
        at = entry.end
    if at != size:
        raise Reason(f"{size} bytes, but its header speaks of {at}")
    return metadata, entries


def _entry(name: str, said: Any, start: int) -> Entry:
    try:
        dtype, shape, (begin, end) = said["dtype"], said["shape"], said["data_offsets"]
        numbers = [begin, end, *shape]
    except (TypeError, KeyError, ValueError):
        raise Reason(f"{name} has no dtype, shape and place") from None
    if not all(type(each) is int and each >= 0 for each in numbers):
        raise Reason(f"{name} has no whole numbers for its shape and place")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise Reason(f"{name} is of a dtype that is not read: {dtype!r:.40}")
    if math.prod(shape) * DTYPES[dtype].itemsize != end - begin:
        raise Reason(f"{name} has more or fewer bytes than its shape says")
    return Entry(DTYPES[dtype], shape, start + begin, start + end)
