"""Why a driver stops before its sweep has come to its end. In any case what runs saves, and goes on later."""

import signal
from typing import NamedTuple


class Ending(NamedTuple):
    reason: str  # a sentence
    code: int  # that the process exits with
    more: str = ""  # what is to be said with the command that goes on


STOPPED = Ending("stopped on request", 130)


def by_signal(number: int) -> Ending:
    return Ending(f"interrupted by {signal.Signals(number).name}", 128 + number)
