"""A published checkpoint on disk: the files that hold its weights, and what identifies them. No torch."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from trainer.errors import CheckpointError

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"  # where they are in several files: which tensor is in which
_CONVERT = (
    "only safetensors are read, for a pickle can run code as it opens; where you trust it, convert it with "
    'python -c "import sys, torch; from safetensors.torch import save_file; '
    f"save_file(torch.load(sys.argv[1], weights_only=True), '{WEIGHTS}')\" and the file"
)


def weights_file(path: Path) -> Path:
    """A file itself, or the model.safetensors of a folder; where the weights are in several files, the index
    of these. Raises CheckpointError, with what to do."""
    if path.is_file() and (path.suffix == ".safetensors" or path.name == INDEX):
        return path
    if path.is_file():
        raise CheckpointError(f"{path}: {_CONVERT}")
    if not path.is_dir():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    for name in (WEIGHTS, INDEX):  # in the order of transformers
        if (path / name).is_file():
            return path / name
    names = sorted(each.name for each in path.iterdir())
    if pickles := [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]:
        raise CheckpointError(f"{path / pickles[0]}: {_CONVERT}")
    if "last.safetensors" in names or "best.safetensors" in names:
        raise CheckpointError(f"{path}: holds a run; python -m trainer export makes a checkpoint of it")
    raise CheckpointError(f"{path}: there is no {WEIGHTS} in it")


def places_in(index: Path) -> dict[str, Path]:
    """By a tensor's name, the file beside the index that holds it. Raises CheckpointError."""
    try:
        said = json.loads(index.read_bytes())["weight_map"]
        names = {str(name): str(place) for name, place in said.items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise CheckpointError(f"{index}: does not say which weights are in which file") from None
    for place in sorted(set(names.values())):
        if place != Path(place).name or not place.endswith(".safetensors"):
            raise CheckpointError(f"{index}: {place!r} is not the name of a safetensors file beside it")
        if not index.with_name(place).is_file():
            raise CheckpointError(f"{index}: {place} is not beside it")
    return {name: index.with_name(place) for name, place in names.items()}


def weights_hash(path: Path) -> str:
    """16 hex digits of SHA-256 over the file of the weights, wherever it lies; of several files over theirs,
    whatever they are called. Raises CheckpointError."""
    weights = weights_file(path)
    files = set(places_in(weights).values()) if weights.name == INDEX else {weights}
    hashes = []
    for file in files:
        stat = file.stat()
        hashes.append(_hash(str(file), stat.st_size, stat.st_mtime_ns))
    if weights.name != INDEX:
        return hashes[0]
    return hashlib.sha256(" ".join(sorted(hashes)).encode()).hexdigest()[:16]


@lru_cache(maxsize=256)
def _hash(path: str, size: int, modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
