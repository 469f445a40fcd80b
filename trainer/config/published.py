"""A published checkpoint on disk: the file that holds its weights, and what identifies them. No torch."""

import hashlib
from functools import lru_cache
from pathlib import Path

from trainer.errors import CheckpointError

WEIGHTS = "model.safetensors"
_CONVERT = (
    "only safetensors are read, for a pickle can run code as it opens; where you trust it, convert it with "
    'python -c "import sys, torch; from safetensors.torch import save_file; '
    f"save_file(torch.load(sys.argv[1], weights_only=True), '{WEIGHTS}')\" and the file"
)


def weights_file(path: Path) -> Path:
    """A file itself, or the model.safetensors of a folder. Raises CheckpointError, with what to do."""
    if path.is_file() and path.suffix == ".safetensors":
        return path
    if path.is_file():
        raise CheckpointError(f"{path}: {_CONVERT}")
    if not path.is_dir():
        raise CheckpointError(f"{path}: there is no such checkpoint")
    if (path / WEIGHTS).is_file():
        return path / WEIGHTS
    names = sorted(each.name for each in path.iterdir())
    if f"{WEIGHTS}.index.json" in names:
        raise CheckpointError(f"{path}: its weights are in several files; save them as one {WEIGHTS}")
    if pickles := [name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))]:
        raise CheckpointError(f"{path / pickles[0]}: {_CONVERT}")
    if "last.safetensors" in names or "best.safetensors" in names:
        raise CheckpointError(f"{path}: holds a run; python -m trainer export makes a checkpoint of it")
    raise CheckpointError(f"{path}: there is no {WEIGHTS} in it")


def weights_hash(path: Path) -> str:
    """16 hex digits of SHA-256 over the file of the weights, wherever it lies. Raises CheckpointError."""
    file = weights_file(path)
    stat = file.stat()
    return _hash(str(file), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash(path: str, size: int, modified: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
