"""One file a checkpoint: tensors as safetensors, all else as JSON in its header. Nothing is pickled.

A save is atomic and on disk when it returns; a load is strict about names, shapes and types.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from trainer.disk import replace_durably, writing
from trainer.errors import CheckpointError

FORMAT = 1
_HEADER = "bd3lm-sweep"


def save(path: Path, tensors: Mapping[str, torch.Tensor], facts: Mapping[str, Any]) -> None:
    """Writes beside `path` and renames: `path` is the old file or the new one, never a part of either.

    Raises DiskFull, before anything is written where that can be foreseen.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    header = {_HEADER: json.dumps({"format": FORMAT, **facts})}
    with writing(temporary, sum(tensor.nbytes for tensor in tensors.values())):
        whole = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
        save_file(whole, temporary, metadata=header)
        replace_durably(temporary, path)


def read_facts(path: Path) -> dict[str, Any]:
    """The JSON that was saved with the tensors. Raises CheckpointError."""
    with open_tensors(path) as file:
        facts = json.loads((file.metadata() or {}).get(_HEADER, "{}"))
    if "format" not in facts:
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of this trainer")
    if facts["format"] > FORMAT:
        raise CheckpointError(f"{path}: format {facts['format']}, newer than this trainer's {FORMAT}")
    return facts


def load(path: Path, like: Mapping[str, torch.Tensor], parts: tuple[str, ...]) -> dict[str, torch.Tensor]:
    """The tensors whose names begin with one of `parts`: exactly those of `like`, on its devices.

    Raises CheckpointError, a sentence that names the first mismatch.
    """
    read_facts(path)
    with open_tensors(path) as file:
        names = {name for name in file.keys() if name.startswith(parts)}  # noqa: SIM118
        expected = {name for name in like if name.startswith(parts)}
        if missing := sorted(expected - names):
            raise CheckpointError(f"{path}: {missing[0]} is missing ({len(missing)} in all)")
        if unexpected := sorted(names - expected):
            raise CheckpointError(
                f"{path}: {unexpected[0]} is not part of this network ({len(unexpected)} in all)"
            )
        tensors = {name: file.get_tensor(name) for name in sorted(names)}
    for name, tensor in tensors.items():
        found, wanted = (tuple(tensor.shape), tensor.dtype), (tuple(like[name].shape), like[name].dtype)
        if found != wanted:
            raise CheckpointError(f"{path}: {name} is {_words(found)}, this network's is {_words(wanted)}")
    return {name: tensor.to(like[name].device) for name, tensor in tensors.items()}


def open_tensors(path: Path) -> Any:
    """Of any safetensors file; to be used in `with`. Raises CheckpointError."""
    try:
        return safe_open(path, framework="pt")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: there is no such checkpoint") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or cut off ({error})") from None


def _words(kind: tuple[tuple[int, ...], torch.dtype]) -> str:
    shape, dtype = kind
    return f"{list(shape)} of {str(dtype).removeprefix('torch.')}"
