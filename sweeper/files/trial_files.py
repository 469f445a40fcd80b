"""Where are a trial's files, and which checkpoints are there?"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from sweeper.files.remote import is_remote, within
from sweeper.store.records import SweepRecord, TrialRecord
from trainer.errors import CheckpointError, MissingCheckpoint

NAMES = ("best.safetensors", "last.safetensors")


class TrialFiles(NamedTuple):
    folder: str  # a path or a URI
    checkpoints: list[str]  # of this machine's, in full

    def in_words(self) -> list[str]:
        if is_remote(self.folder):
            return [f"folder: {self.folder}"]
        if not Path(self.folder).is_dir():
            return [f"folder: {self.folder}, which is not there"]
        return [f"folder: {self.folder}", f"checkpoints: {', '.join(self.checkpoints) or 'none'}"]


def files_of(sweep: SweepRecord, trial: TrialRecord) -> TrialFiles:
    """A repeat's are those of the trial that it repeats."""
    folder = within(sweep.folder, "trials", str(sweep.id), str(trial.repeat_of or trial.id))
    here = [] if is_remote(folder) else [Path(folder, name) for name in NAMES]
    return TrialFiles(folder, [str(path) for path in here if path.is_file()])


@contextmanager
def folder_here(files: TrialFiles, checkpoint: str) -> Iterator[Path]:
    """The trial's folder on this machine, with that checkpoint in it (best or last); of an object store a
    copy, for as long as the block lasts. Raises CheckpointError."""
    name = f"{checkpoint}.safetensors"
    if not is_remote(files.folder):
        if not Path(files.folder, name).is_file():
            raise MissingCheckpoint(f"{Path(files.folder, name)}: there is no such checkpoint any more")
        yield Path(files.folder)
        return
    from sweeper.files.snapshots import Snapshots  # loads pyarrow

    shown = files.folder.partition("?")[0]
    with TemporaryDirectory(prefix="trial-") as copy:
        try:
            Snapshots(files.folder).fetch(Path(copy))
        except OSError as error:
            raise CheckpointError(f"{shown} cannot be read: {' '.join(str(error).split())[:300]}") from None
        if not Path(copy, name).is_file():
            raise MissingCheckpoint(f"{shown}: holds no {name}")
        yield Path(copy)
