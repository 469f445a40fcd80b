"""Checkpoints written beside training: the steps go on while the disk is waited for. No torch."""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

from trainer.evaluation.record import Report

BEAT = 0.2  # seconds between two signs of life while a checkpoint is waited for


class Saver:
    """One checkpoint at a time, in a thread. The reports that it holds are handed out once it is on disk."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None
        self._held: list[Report] = []

    def __enter__(self) -> "Saver":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is written any more when this returns."""
        self._thread.shutdown(wait=True)

    def start(self, write: Callable[[], None], reports: list[Report]) -> None:
        """After `finish`: there is one at a time. reports: those of the steps up to this checkpoint's."""
        assert self._writing is None
        self._writing, self._held = self._thread.submit(write), reports

    def written(self) -> Iterator[Report]:
        """Nothing while a checkpoint is being written; then its reports. Raises what the writing raised."""
        if self._writing is not None and self._writing.done():
            self._writing.result()
            self._writing = None
            while self._held:
                yield self._held.pop(0)

    def finish(self) -> Generator[Report | None, None, None]:
        """Waits, with signs of life, until everything is on disk; its reports."""
        while self._writing is not None:
            if not wait([self._writing], BEAT).done:
                yield None
            yield from self.written()

    def wait(self) -> None:
        """The same without a word: whoever closed the run reads its reports from the rows."""
        if self._writing is not None:
            wait([self._writing])
