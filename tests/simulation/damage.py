"""What may become of a checkpoint on disk that its sweep knows nothing of? And what does somebody do then?

They delete by os.remove, at which no fault strikes: it is nothing that a driver does."""

import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from sweeper.files.stage_cache import SEAL
from sweeper.spec.spec import SweepSpec
from tests.simulation import tables, trainer

ANOTHER = re.compile(r"(\S+) holds another run")


def checkpoints(files: Path, folders: str, name: str, *, whole: bool) -> list[Path]:
    """Of finished stages, or of trials, those of that name."""
    said = SEAL if folders.startswith("stages") else name
    found = sorted(file.parent / name for file in files.glob(f"{folders}/{said}"))
    return [file for file in found if file.is_file() and (not whole or trainer.is_whole(file))]


def to_be_scored(found: list[Path], store: Path, spec: SweepSpec) -> list[Path]:
    """Those of trials whose seeds are a race's, and that no round has scored yet."""
    if spec.settle is None:
        return []
    scored = {str(trial) for (trial,) in tables.rows(store, "SELECT trial FROM scores")}
    seeds = {str(trial): seed for trial, seed in tables.rows(store, "SELECT id, seed FROM trials")}
    left = [file for file in found if file.parent.name not in scored]
    return [file for file in left if seeds.get(file.parent.name) in spec.race_seed_values]


def damage(file: Path, how: str) -> None:
    """deleted, cut, flipped: one bit; emptied; older: the one before it; or the whole folder gone."""
    older = trainer.older_of(file)
    if how == "older" and not older.is_file():
        how = "cut"
    if how == "folder":
        shutil.rmtree(file.parent)
    elif how == "deleted":
        os.remove(file)
    elif how == "older":
        shutil.copy(older, file)
    else:
        whole = file.read_bytes()
        middle = len(whole) // 2
        flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        file.write_bytes({"cut": whole[:middle], "emptied": b"", "flipped": flipped}[how])
    trainer.look(file.parent)


def put_back(older: Path, store: Path, files: Path) -> None:
    """In the store's place; the folders stay. `keep` may have deleted checkpoints of trials that the copy
    has still to end."""
    for end in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            os.remove(store.with_name(f"{store.name}{end}"))
    # Another file, not what is in it: SQLite would know the old one again by what a dead driver held of it.
    Path(shutil.copy(older, older.with_suffix(".new"))).rename(store)
    for log in files.glob(f"trials/*/*/{trainer.LOG}"):
        trainer.look(log.parent)


def heed(ending: str) -> None:
    """Of a driver, which says what stands in its way: somebody takes it away."""
    if found := ANOTHER.search(ending):
        shutil.rmtree(found[1])
