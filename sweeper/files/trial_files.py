"""Where are a trial's files, and which checkpoints are there?"""

from pathlib import Path
from typing import NamedTuple

from sweeper.files.remote import is_remote, within
from sweeper.store.records import SweepRecord, TrialRecord

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
