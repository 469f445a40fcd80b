"""What may become of a checkpoint on disk that its sweep knows nothing of? And what does somebody do then?"""

import re
import shutil
from pathlib import Path

from tests.simulation import trainer

ANOTHER = re.compile(r"(\S+) holds another run")


def damage(file: Path, how: str) -> None:
    """deleted, cut, flipped: one bit; emptied; older: the one before it; or the whole folder gone."""
    older = trainer.older_of(file)
    if how == "older" and not older.is_file():
        how = "cut"
    if how == "folder":
        shutil.rmtree(file.parent)
    elif how == "deleted":
        file.unlink()
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
        store.with_name(f"{store.name}{end}").unlink(missing_ok=True)
    shutil.copy(older, store)
    for log in files.glob(f"trials/*/*/{trainer.LOG}"):
        trainer.look(log.parent)


def heed(ending: str) -> None:
    """Of a driver, which says what stands in its way: somebody takes it away."""
    if found := ANOTHER.search(ending):
        shutil.rmtree(found[1])
