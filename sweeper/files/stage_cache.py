"""Finished pretrains on disk. A checksum beside each tells whether it is still what was trained.

The worker seals a stage when it is finished (`sha256sum -c` reads the seal); the driver looks at the seal
before anything branches from the stage, and has it run again where the checkpoint is not the sealed one.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

LAST = "last.safetensors"
SEAL = f"{LAST}.sha256"


def seal(folder: Path) -> None:
    """Of the checkpoint as it is now; on disk, whole, when this returns."""
    new = folder / f"{SEAL}.new"
    with open(new, "w", encoding="utf-8") as file:
        file.write(f"{sha256_of(folder / LAST)}  {LAST}\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(new, folder / SEAL)


def fault(folder: Path) -> str:
    """'' where the checkpoint is the sealed one; else what is wrong, as the end of a sentence."""
    if not (folder / LAST).is_file():
        return "its checkpoint is gone"
    if not (folder / SEAL).is_file():
        return "its checkpoint has no checksum"
    try:
        whole = _is_sealed(folder)
    except OSError as error:
        return f"its checkpoint cannot be read: {error.strerror}"
    if not whole:
        return "its checkpoint is damaged: it does not have the checksum that it was finished with"
    return ""


def discard_damaged(folder: Path) -> None:
    """A checkpoint that is not the sealed one goes, and its seal, so that the stage starts anew.

    One without a seal stays: it was not finished, and is gone on from.
    """
    if (folder / SEAL).is_file() and not ((folder / LAST).is_file() and _is_sealed(folder)):
        (folder / LAST).unlink(missing_ok=True)
        (folder / SEAL).unlink()  # last: a kill in between is found again


def size(folder: Path) -> int:
    """Bytes that `clear` would free."""
    sizes = 0
    for file in heavy(folder):
        with suppress(FileNotFoundError):  # a worker has renamed it meanwhile
            sizes += file.stat().st_size
    return sizes


def clear(folder: Path) -> int:
    """Deletes the tensors; the configuration, rows and ledger stay. Returns the bytes freed."""
    freed = size(folder)
    for file in heavy(folder):
        file.unlink(missing_ok=True)
    return freed


def heavy(folder: Path) -> list[Path]:
    """The files that hold tensors, seals included."""
    return sorted(file for file in folder.glob("*.safetensors*") if file.is_file())


def _is_sealed(folder: Path) -> bool:
    return (folder / SEAL).read_text(encoding="utf-8", errors="replace").split()[:1] == [
        sha256_of(folder / LAST)
    ]


def sha256_of(file: Path) -> str:
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
