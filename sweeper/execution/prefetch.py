"""How does a trial not wait for who reads it? Its generator works ahead in a thread of its own."""

import threading
from collections.abc import Generator
from contextlib import closing, suppress
from queue import Empty, Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")
LOOK = 0.1  # seconds between looks at whether it is to end


class NotReady(Exception):
    """No item yet. A class of its own: what the generator itself raises is another matter."""


class Prefetch(Generic[T]):
    """Works on the next item while the last one is being dealt with: one finished item ahead, no more.

    More would be work in vain for a trial that is ended at the item before.
    """

    def __init__(self, items: Generator[T]):
        self._items = items
        self._ready: Queue[tuple[T, ...]] = Queue(maxsize=1)  # () is the end
        self._failure: BaseException | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="prefetch", daemon=True)
        self._thread.start()

    def next(self, timeout: float | None = None) -> T:
        """Raises StopIteration at the end, what the generator raised (once), or NotReady.

        timeout: seconds to wait for an item that is not ready; None is for ever.
        """
        try:
            found = self._ready.get(timeout=timeout)
        except Empty:
            raise NotReady from None
        if found:
            return found[0]
        with suppress(Full):
            self._ready.put_nowait(())  # the end stays the end
        failure, self._failure = self._failure, None
        raise failure or StopIteration

    def close(self) -> None:
        """Closes the generator at its next item, and waits for that. Raises what its `finally` raised.

        Whoever waits for an item meanwhile, in another thread, is told that it is over.
        """
        self._closing.set()
        self._thread.join()
        failure, self._failure = self._failure, None
        with suppress(Full):  # then nobody waits
            self._ready.put_nowait(())
        if failure is not None:
            raise failure

    def _run(self) -> None:
        try:
            with closing(self._items):
                for item in self._items:
                    self._offer((item,))
                    if self._closing.is_set():
                        break
        except BaseException as raised:
            self._failure = raised
        self._offer(())

    def _offer(self, item: tuple[T, ...]) -> None:
        while not self._closing.is_set():
            try:
                return self._ready.put(item, timeout=LOOK)
            except Full:
                continue
