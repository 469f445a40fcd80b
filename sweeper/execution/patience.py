"""What does a driver do while another program holds its store's lock? It says so, and shows that it lives."""

from collections.abc import Callable

from sweeper.store.sqlite_files import PATIENCE

SAID_EVERY = 60.0  # seconds


class Patience:
    """Told by the store, now and then, how many seconds a transaction has waited."""

    def __init__(self, say: Callable[[str], None]):
        self._say = say
        self._said = 0.0  # of the wait that goes on: how long it had taken when that was last said
        self.alive: Callable[[], None] = lambda: None  # for who watches this driver

    def __call__(self, seconds: float) -> None:
        self.alive()
        if seconds < self._said:  # another wait
            self._said = 0.0
        if not self._said or seconds - self._said >= SAID_EVERY:
            self._said = seconds
            at_most = f"at most {PATIENCE / 60:.0f} minutes"
            self._say(f"another program holds the database's lock: waited {seconds:.0f} s, {at_most}")
