"""A sweep whose first trials all fail alike is stopped: what is wrong is not the trials'."""

import re

LEAST = 3
NUMBERS = re.compile(r"\b[0-9a-f]*\d[\w.+-]*")  # what may differ between two failures that are alike
CODE = 5  # the process's exit code: there is nothing to rank


class Breaker:
    """Of one driver: whoever starts the sweep again, when that is mended, is given another chance."""

    def __init__(self, slots: int, some_have_completed: bool):
        self._least = max(LEAST, slots + 1)
        self._off = some_have_completed
        self._failures: list[str] = []

    def saw(self, state: str, error: str) -> str:
        """A trial has ended. '' where the sweep goes on; else why not."""
        self._off = self._off or state not in ("failed", "lost")
        if self._off:
            return ""
        self._failures.append(error)
        if len({_kind(each) for each in self._failures}) > 1:
            self._off = True
        if self._off or len(self._failures) < self._least:
            return ""
        return f"the first {len(self._failures)} trials failed alike: {_last_line(error)}"


def _kind(error: str) -> str:
    return NUMBERS.sub("#", _last_line(error))


def _last_line(error: str) -> str:
    return error.strip().splitlines()[-1] if error.strip() else "no error was given"
