"""The thread that can still act when the main thread cannot.

Ray's client may block the main thread for minutes, in C, when the cluster has died; Python's signal handlers
and Tune's callbacks then never run. Signals are therefore read here, from the file descriptor that Python's
C-level handler writes to, and the main thread's silence is noticed here.
"""

import math
import os
import select
import signal
import sys
import threading
import time
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Seconds. A minute after its control service has died Ray ends the driver by itself, without a word.
SILENCE = 45.0
SLOW = 180.0  # seconds in which Ray is to have started, or stopped: 5 on an idle machine
HALTED = 5.0  # seconds without a look, which there is twice a second


class Watchdog(threading.Thread):
    """First signal: `signal` is set, and the main thread has `grace` seconds to end. Second: exit at once.

    No `beat` from the main thread for `silence` seconds after another: exit 1. Whatever it ends, nothing is
    lost but what was trained since the last checkpoints.
    """

    def __init__(self, resume: str, *, silence: float = SILENCE, grace: float = 20.0):
        super().__init__(name="watchdog", daemon=True)
        self.signal: int | None = None
        self._resume, self._silence, self._grace = resume, silence, grace
        self._before: dict[int, Any] = {}
        self._deadline = 0.0
        self._last_beat = math.inf
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)

    def watch(self) -> None:
        """From the main thread; once more after ray.init, which puts a handler of its own on SIGTERM."""
        for each in SIGNALS:
            handler = signal.signal(each, _nothing)
            self._before.setdefault(each, handler)
        signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)
        if not self.is_alive():
            self.start()

    def release(self) -> None:
        """From the main thread: puts the handlers back."""
        signal.set_wakeup_fd(-1)
        for each, handler in self._before.items():
            signal.signal(each, handler)
        os.write(self._write_end, b"\0")
        self.join()
        os.close(self._read_end)
        os.close(self._write_end)

    def beat(self, patience: float = 0.0) -> None:
        """The main thread is alive; from the first beat on, silence ends the process.

        patience: seconds in which no other beat is to be expected, beyond the usual.
        """
        self._last_beat = time.monotonic() + patience

    def alive(self) -> None:
        """The main thread is, in a wait of its own; no silence is counted that had not begun."""
        if self._last_beat != math.inf:
            self.beat()

    def rest(self) -> None:
        """No more beats are to be expected."""
        self._last_beat = math.inf

    def give_up(self, sentence: str, code: int = 1) -> None:
        """Ends the process here and now; its workers notice and end too."""
        print(f"{sentence}; to go on: {self._resume}", file=sys.stderr, flush=True)
        os._exit(code)

    def run(self) -> None:
        looked = time.monotonic()
        while True:
            ready, _, _ = select.select([self._read_end], [], [], 0.5)
            for number in os.read(self._read_end, 16) if ready else b"":
                if number == 0:
                    return
                if number in SIGNALS:
                    self._on_signal(number)
            now = time.monotonic()
            if now - looked > HALTED:  # all of the process was, so the main thread has not been silent
                self._last_beat += now - looked
                self._deadline += now - looked
            looked = now
            if self.signal is not None and now > self._deadline:
                self.give_up(f"the workers did not stop within {self._grace:.0f} s", 128 + self.signal)
            if now - self._last_beat > self._silence:
                self.give_up(f"Ray has not answered for {self._silence:.0f} s: it seems to have died")

    def _on_signal(self, number: int) -> None:
        if self.signal is not None:
            os._exit(128 + self.signal)
        self._deadline = time.monotonic() + self._grace
        self.signal = number


def _nothing(number: int, frame: object) -> None:
    """The C-level handler, which writes to the watchdog's pipe, needs some Python handler to be set."""
