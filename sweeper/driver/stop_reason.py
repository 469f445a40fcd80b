"""Why does a driver stop before its sweep has come to its end? What runs saves, and goes on later."""

import signal
from typing import NamedTuple


class StopReason(NamedTuple):
    reason: str  # a sentence
    code: int  # that the process exits with
    more: str = ""  # what is to be said with the command that goes on


STOPPED = StopReason("stopped on request", 130)


def by_signal(number: int) -> StopReason:
    return StopReason(f"interrupted by {signal.Signals(number).name}", 128 + number)
