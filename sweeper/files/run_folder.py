"""What has a run left in its folder? Its reports, its samples, the end of a log: as far as they are here.

Read for pages that show them. What is not on this machine, is damaged or is no plain file is nothing, never
an error: the store has what counts."""

import json
from collections.abc import Iterator
from pathlib import Path

from sweeper.files.remote import logs_of
from sweeper.store.records import SweepRecord
from trainer.errors import SamplesError
from trainer.sampling.samples_file import SavedSample, read_samples

ROWS = "rows.jsonl"
SAMPLES = "samples.jsonl"
MOST_SAMPLES = 50
MOST_BYTES = 50_000_000  # of reports that are read
MOST_OF_A_LOG = 200_000  # bytes, of its end


def stamp(folder: str, name: str) -> tuple[int, int] | None:
    """Changes with the file; None where there is none here. What was read may be kept as long as it is
    equal."""
    file = _file(Path(folder), name)
    try:
        return None if file is None else (file.stat().st_size, file.stat().st_mtime_ns)
    except OSError:
        return None


def reported(folder: str) -> dict[str, list[tuple[int, float]]]:
    """(step, value) of every metric that the run reported, in order of step."""
    curves: dict[str, list[tuple[int, float]]] = {}
    file = _file(Path(folder), ROWS)
    for step, values in _reports(file) if file else ():
        for name, value in values.items():
            curves.setdefault(name, []).append((step, value))
    return curves


def samples(folder: str) -> list[SavedSample]:
    """The first of them."""
    file = _file(Path(folder), SAMPLES)
    try:
        return read_samples(file, MOST_SAMPLES) if file else []
    except (SamplesError, OSError):
        return []


def log_of(sweep: SweepRecord) -> str:
    """What Ray and the workers said, of all of the sweep's trials: the last of it, in whole lines."""
    file = _file(logs_of(sweep.folder) / "trials" / str(sweep.id), "ray.log")
    return tail(file) if file else ""


def tail(file: Path, most: int = MOST_OF_A_LOG) -> str:
    """The last bytes of a text, but for the line that they begin in."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(max(0, size - most))
            found = opened.read(most)
    except OSError:
        return ""
    if size > most:
        found = found.partition(b"\n")[2]
    return found.decode(errors="replace")


def _file(folder: Path, name: str) -> Path | None:
    """Only a plain file, and in that folder itself: a store that was copied here may name any folder."""
    file = folder / name
    try:
        return file if file.is_file() and not file.is_symlink() else None
    except OSError:
        return None


def _reports(file: Path) -> Iterator[tuple[int, dict[str, float]]]:
    """Up to the first line that is none: a run that goes on may be in the midst of its last."""
    try:
        with file.open("rb") as lines:
            for line in lines.read(MOST_BYTES).splitlines():
                row = json.loads(line)
                step, values = int(row["step"]), row["values"].items()
                yield step, {str(name): float(value) for name, value in values}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        return
