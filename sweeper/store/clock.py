"""What time is it? The machine's clocks, or those that a test hands in: they jump, and nobody waits."""

import time
from collections.abc import Callable
from typing import NamedTuple


class Clock(NamedTuple):
    wall: Callable[[], float] = time.time  # seconds since 1970; somebody may set it, either way
    steady: Callable[[], float] = time.monotonic  # seconds since some moment: never set back


MACHINE = Clock()
