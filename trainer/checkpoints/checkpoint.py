"""One file a checkpoint: tensors as safetensors, all else as JSON in its header. Nothing is pickled.

A save is atomic and on disk when it returns. A load is strict about names, shapes and types, and what it
reads is what was written: the header holds a sum of each tensor, and one of all that it says itself."""

import json
import logging
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from trainer.checkpoints.tensors_file import TensorsFile, crc_of
from trainer.disk import replace_durably, writing
from trainer.errors import CheckpointError

FORMAT = 1
_HEADER, _SUM = "bd3lm-sweep", "bd3lm-sweep-sum"  # facts, with the tensors' sums; the CRC-32 of that text


def save(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Writes beside `path` and renames: `path` is the old file or the new one, never a part of either.

    Raises DiskFull, before anything is written where that can be foreseen.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    with writing(temporary, sum(tensor.nbytes for tensor in tensors.values())):
        whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        sums = {name: crc_of(tensor) for name, tensor in whole.items()}
        text = json.dumps({"format": FORMAT, **facts, "sums": sums})
        save_file(whole, temporary, metadata={_HEADER: text, _SUM: str(zlib.crc32(text.encode()))})
        replace_durably(temporary, path)


class Checkpoint(TensorsFile):
    """A checkpoint that is open: its facts and tensors are of one save, though a run may go on saving."""

    def __init__(self, path: Path):
        super().__init__(path)
        try:
            self.facts, self._sums = self._read_facts()
        except CheckpointError:
            self.__exit__()
            raise

    def load(self, like: Mapping[str, torch.Tensor], parts: tuple[str, ...]) -> dict[str, torch.Tensor]:
        """The tensors whose names begin with one of `parts`: exactly those of `like`, on its devices.

        Raises CheckpointError, a sentence that names the first mismatch.
        """
        path, names = self.path, {name for name in self.entries if name.startswith(parts)}
        expected = {name for name in like if name.startswith(parts)}
        if missing := sorted(expected - names):
            raise CheckpointError(f"{path}: {missing[0]} is missing ({len(missing)} in all)")
        if unexpected := sorted(names - expected):
            raise CheckpointError(
                f"{path}: {unexpected[0]} is not part of this network ({len(unexpected)} in all)"
            )
        for name in sorted(names):
            found = tuple(self.entries[name].shape), self.entries[name].dtype
            wanted = tuple(like[name].shape), like[name].dtype
            if found != wanted:
                raise CheckpointError(
                    f"{path}: {name} is {_words(found)}, this network's is {_words(wanted)}"
                )
        if not self._sums:
            _say_once(f"{path}: written before checkpoints held sums; its tensors are taken as they are")
        return {name: self.tensor(name, self._sums.get(name)).to(like[name].device) for name in sorted(names)}

    def _read_facts(self) -> tuple[dict[str, Any], dict[str, int]]:
        text, sum_ = self.metadata.get(_HEADER, "{}"), self.metadata.get(_SUM)
        if sum_ is not None and sum_ != str(zlib.crc32(text.encode(errors="replace"))):
            raise self.damaged("its facts are not what was written")
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError):
            raise self.damaged("its facts are not JSON") from None
        if not isinstance(facts, dict) or not isinstance(facts.get("format"), int):
            raise CheckpointError(f"{self.path}: a safetensors file, but not a checkpoint of this trainer")
        if facts["format"] > FORMAT:
            raise CheckpointError(
                f"{self.path}: format {facts['format']}, newer than this trainer's {FORMAT}"
            )
        sums = facts.pop("sums", None)
        if (sums is None) != (sum_ is None) or (sums is not None and sums.keys() != self.entries.keys()):
            raise self.damaged("the sums of its tensors are not what was written")
        return facts, sums or {}


def read_facts(path: Path) -> dict[str, Any]:
    """The JSON that was saved with the tensors. Raises CheckpointError."""
    with Checkpoint(path) as file:
        return file.facts


def load(path: Path, like: Mapping[str, torch.Tensor], parts: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """As Checkpoint.load."""
    with Checkpoint(path) as file:
        return file.load(like, parts)


@cache
def _say_once(sentence: str) -> None:
    logging.getLogger(__name__).warning(sentence)


def _words(kind: tuple[tuple[int, ...], torch.dtype]) -> str:
    shape, dtype = kind
    return f"{list(shape)} of {str(dtype).removeprefix('torch.')}"
