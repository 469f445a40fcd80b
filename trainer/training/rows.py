"""rows.jsonl, the reports of a run, and ledger.txt, every step it ever trained. No torch."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from trainer.errors import DamagedCheckpoint
from trainer.evaluation.record import Evaluation, Report

TAIL = 64  # bytes: more than a line of ledger.txt has


class Rows:
    """rows.jsonl. What stands after the checkpoint's length is dropped: those steps are trained again."""

    def __init__(self, path: Path, length: int):
        """length: bytes the checkpoint vouches for. Raises DamagedCheckpoint where the file is shorter."""
        self.path = path
        self._file = open(path, "a+b")  # noqa: SIM115
        found = os.fstat(self._file.fileno()).st_size
        if found < length:
            raise DamagedCheckpoint(f"{path}: {found} bytes, but its checkpoint was saved with {length}")
        self._file.truncate(length)

    def append(self, report: Report) -> None:
        """One line of JSON; on disk after `flush` and `sync`."""
        row = {**report._asdict(), "evaluations": [e.as_json() for e in report.evaluations]}
        self._file.write(json.dumps(row).encode() + b"\n")

    def flush(self) -> int:
        """The length of all rows in bytes, for a checkpoint to vouch for once they are on disk."""
        self._file.flush()
        return os.fstat(self._file.fileno()).st_size

    def sync(self) -> None:
        """What was flushed is on disk. From any thread, rows may be appended meanwhile."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read_rows(path: Path, after: int = 0) -> Iterator[Report]:
    """The reports of steps later than `after`. Raises DamagedCheckpoint where a line is no report."""
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            row = json.loads(line)
            evaluations = tuple(Evaluation(**each) for each in row["evaluations"])
            report = Report(row["step"], row["values"], evaluations)
            wanted = report.step > after
        except (ValueError, RecursionError, KeyError, TypeError):
            raise DamagedCheckpoint(f"{path}:{number}: damaged, for it is no report of a run") from None
        if wanted:
            yield report


class Ledger:
    """ledger.txt: `attempt step` in one unbuffered write for each optimizer step. It outlives checkpoints."""

    def __init__(self, path: Path, attempt: int):
        self.attempt = attempt
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115

    def write(self, step: int) -> None:
        """When the step has been trained; it counts from 1 over the run."""
        self._file.write(f"{self.attempt} {step}\n".encode())

    def close(self) -> None:
        self._file.close()


def latest_attempt(ledger: Path) -> int:
    """That has trained a step; 0 where none is known."""
    try:
        with open(ledger, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            lines = [line.split() for line in file.read().splitlines()]
    except FileNotFoundError:
        return 0
    attempts = [int(words[0]) for words in lines if len(words) == 2 and words[0].isdigit()]
    return attempts[-1] if attempts else 0
