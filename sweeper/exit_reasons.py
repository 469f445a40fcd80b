"""How may a sweep end that is not done? An exception for each exit code, where it is started from Python."""

import re
from collections.abc import Sequence
from typing import ClassVar

DATE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ")


class SweepEnded(Exception):
    """A sweep's driver has ended otherwise than with all done. Each exit code has a class of its own.

    code: the exit code; negative, of a driver that was killed: the signal. sweep: its name. lines: the last
    that the driver said.
    """

    codes: ClassVar[tuple[int, ...]] = ()
    means: ClassVar[str] = "its driver ended without a word"

    def __init__(self, code: int, sweep: str, lines: Sequence[str]):
        super().__init__(code, sweep, tuple(lines))
        self.code, self.sweep, self.lines = code, sweep, tuple(lines)

    def __str__(self) -> str:
        said = DATE.sub("", self.lines[-1]) if self.lines else ""
        return f"sweep {self.sweep}: {self.means}" + (f": {said}" if said else "")


class InternalError(SweepEnded):
    """A mistake of this program, or Ray has died; the sentence says where the whole story is."""

    codes, means = (1,), "internal error"


class UsageError(SweepEnded):
    """No such file, sweep, or option."""

    codes, means = (2,), "it was called wrongly"


class BadSpecification(SweepEnded):
    """The specification is not sound, or is not the one that the sweep began with; lines: each mistake."""

    codes, means = (3,), "its specification cannot be run"

    def __str__(self) -> str:
        return "\n".join([f"sweep {self.sweep}: {self.means}", *self.lines])


class TrialsFailed(SweepEnded):
    """All is done, and there is a board; but some trials failed. `retry` runs them again."""

    codes, means = (4,), "it is finished, but some trials failed"


class NothingToRank(SweepEnded):
    """All is done, and no trial is complete."""

    codes, means = (5,), "it is finished, and there is nothing to rank"


class BudgetSpent(SweepEnded):
    """Running trials have saved; with a larger budget `run` goes on."""

    codes, means = (6,), "its budget ended it"


class MachineLacks(SweepEnded):
    """The database cannot be opened or another driver has the sweep, the disk is full, a GPU is not there."""

    codes, means = (7,), "the machine lacks something"


class Interrupted(SweepEnded):
    """By `stop`, here, in a terminal or from a page: running trials have saved, and `run` goes on."""

    codes, means = (130, -2), "it was stopped"


class Terminated(SweepEnded):
    """By SIGTERM, as a cluster's scheduler sends it: running trials have saved, and `run` goes on."""

    codes, means = (143, -15), "it was terminated"


class DriverKilled(SweepEnded):
    """By a signal that leaves no time, or without any of the exit codes; `run` goes on from the
    checkpoints."""

    means = "its driver was killed"


KINDS = (
    *(InternalError, UsageError, BadSpecification, TrialsFailed, NothingToRank),
    *(BudgetSpent, MachineLacks, Interrupted, Terminated),
)


def reason(code: int, sweep: str, lines: Sequence[str]) -> SweepEnded:
    """The exception of an exit code that is not 0."""
    kind = next((each for each in KINDS if code in each.codes), DriverKilled)
    return kind(code, sweep, lines)
